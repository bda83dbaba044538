"""Settings of runs that take seconds, for lists of runs."""

TINY = """
[all]
env = "RandomProjection-StatelessCartPole-v0"
steps = 256  # two updates
rollout_steps = 32
checkpoint_every = 1
envs = 4
model.layers = 1
model.width = 8
model.encoder = [8]
model.head = [8]
ppo.minibatches = 2
ppo.epochs = 1
"""
