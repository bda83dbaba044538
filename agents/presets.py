"""Named settings: the table that `metaenvs train --preset` chooses from."""

import dataclasses

from agents.config import ModelConfig, PPOConfig, TrainConfig

# An agent that adapts: docs/adaptation.md says what each setting brought.
_IN_CONTEXT = TrainConfig(
    preset="in-context",
    env="RandomProjection-v0",
    episodes_per_trial=2,
    hold=4,
    steps=100_000_000,
    envs=128,
    checkpoint_every=50,
    model=ModelConfig(
        width=128,
        encoder=(128,),
        head=(128,),
        normalise_observations=True,
        lag=True,
        correlations=True,
        identification=True,
        local_model=True,
    ),
    ppo=PPOConfig(
        learning_rate=1e-3,
        gamma=0.98,
        gae_lambda=0.9,
        value_coef=0.1,
        entropy_coef=0.003,
        entropy_floor=0.0,
        epochs=2,
        minibatches=8,
        reward_scale=0.02,
        scale_values=True,
        privileged_critic=True,
        reconstruction_coef=0.5,
        target_kl=0.02,
    ),
)

PRESETS: dict[str, TrainConfig] = {
    config.preset: config
    for config in (
        TrainConfig(
            preset="demo",
            model=ModelConfig(normalise_observations=True),
            ppo=PPOConfig(gae_lambda=0.9, entropy_coef=0.003),
        ),
        # The baseline of docs/results.md, which says how its settings were found.
        TrainConfig(
            preset="reference",
            env="RandomProjection-v0",
            steps=50_000_000,
            model=ModelConfig(normalise_observations=True),
            ppo=PPOConfig(gamma=0.995, gae_lambda=0.9, entropy_coef=0.003),
        ),
        _IN_CONTEXT,
        dataclasses.replace(_IN_CONTEXT, preset="in-context-long", steps=2_000_000_000),
        # Steps of the suite are four control steps already.
        dataclasses.replace(
            _IN_CONTEXT,
            preset="in-context-lite",
            env="RandomProjection-Lite-v0",
            episodes_per_trial=None,
            hold=1,
            steps=4_000_000,
            envs=64,
            checkpoint_every=10,
            model=dataclasses.replace(
                _IN_CONTEXT.model,
                width=64,
                encoder=(64,),
                head=(64,),
                identification=False,
                local_model=False,
            ),
            ppo=dataclasses.replace(
                _IN_CONTEXT.ppo,
                learning_rate=1.5e-3,
                epochs=4,
                minibatches=4,
                value_coef=0.5,
                scale_values=False,
            ),
        ),
        # Lu et al. 2023, appendix: sizes, learning rate, discount, rollout and environments.
        # Their algorithm is Muesli; the settings of PPO are ours.
        TrainConfig(
            preset="paper",
            env="RandomProjection-v0",
            observe=("reward", "done"),
            steps=2_000_000_000,
            envs=1024,
            model=ModelConfig(layers=10, width=256, encoder=(512, 512), head=(256,)),
            ppo=PPOConfig(learning_rate=3e-4, schedule="constant", gamma=0.995, minibatches=16),
        ),
        # Lu et al. 2023 on POPGym, that is POPGym's own settings of PPO with S5 as memory.
        TrainConfig(
            preset="popgym",
            env="popgym-RepeatPreviousHard-v0",
            observe=("action", "done"),
            steps=15_000_000,
            rollout_steps=1024,
            model=ModelConfig(layers=4, width=256, encoder=(128,), head=(128, 128)),
            ppo=PPOConfig(
                learning_rate=5e-5,
                schedule="constant",
                gae_lambda=1.0,
                value_coef=1.0,
                epochs=30,
                minibatches=8,
                reward_scale=1.0,
            ),
        ),
        TrainConfig(
            preset="popgym-cpu",
            env="popgym-RepeatPreviousEasy-v0",
            observe=("action", "done"),
            steps=2_000_000,
            rollout_steps=128,
            model=ModelConfig(layers=2, width=64),
            ppo=PPOConfig(gae_lambda=1.0, value_coef=1.0, reward_scale=1.0),
        ),
        # bsuite's memory length. A rollout is an episode, of memory_length + 1 steps; a limit
        # of max_steps_in_episode must lie beyond it. Lu et al. 2023 used A2C: the settings
        # are ours. Only the last action matters, hence gae_lambda.
        TrainConfig(
            preset="memory-length",
            env="MemoryChain-bsuite",
            env_params={"memory_length": 512, "max_steps_in_episode": 10_000},
            observe=(),
            steps=20_000_000,
            rollout_steps=513,
            model=ModelConfig(layers=4, width=256, encoder=(256,), head=(256,)),
            ppo=PPOConfig(learning_rate=3e-4, gae_lambda=0.9, reward_scale=1.0),
        ),
        TrainConfig(
            preset="memory-length-cpu",
            env="MemoryChain-bsuite",
            env_params={"memory_length": 128, "max_steps_in_episode": 10_000},
            observe=(),
            steps=200 * 64 * 129,
            rollout_steps=129,
            checkpoint_every=100,
            model=ModelConfig(layers=2, width=32, encoder=(32,), head=(32,)),
            ppo=PPOConfig(learning_rate=1e-3, gae_lambda=0.9, reward_scale=1.0),
        ),
        # Lu et al. 2023, section 4.3: trials of 16 episodes of at most 200 steps. Sizes and
        # settings are those of the preset popgym, with stop_at_termination.
        TrainConfig(
            preset="stateless-cartpole",
            env="RandomProjection-StatelessCartPole-v0",
            steps=15_000_000,
            model=ModelConfig(layers=4, width=256, encoder=(128,), head=(128, 128)),
            ppo=PPOConfig(
                learning_rate=5e-5,
                schedule="constant",
                gae_lambda=1.0,
                stop_at_termination=True,
                value_coef=1.0,
                epochs=30,
                minibatches=8,
                reward_scale=1.0,
            ),
        ),
        TrainConfig(
            preset="stateless-cartpole-cpu",
            env="RandomProjection-StatelessCartPole-v0",
            steps=10_000_000,
            envs=32,
            rollout_steps=1024,
            # Gradients have to cross several episodes: with rollouts of 256 steps, about three
            # episodes, S5 comes to do well in all of them alike. The entropy keeps it exploring.
            ppo=PPOConfig(
                stop_at_termination=True, entropy_coef=0.01, minibatches=8, reward_scale=10.0
            ),
        ),
    )
}


def preset(name: str) -> TrainConfig:
    """The settings called `name`.

    Raises:
        ValueError: if there are none; the message lists the choices.
    """
    from metaenvs import errors  # imports JAX, which the settings alone do not need

    return errors.lookup(PRESETS, name, "preset")
