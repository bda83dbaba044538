"""An agent of your own: PPO in one file, as in PureJaxRL, on the step's six values."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

import metaenvs

ENVS, LENGTH, BATCHES, GAMMA, LAMBDA, CLIP, STD = 64, 128, 32, 0.99, 0.95, 0.2, 0.5


class ActorCritic(nn.Module):
    @nn.compact
    def __call__(self, obs):
        policy, value = (nn.tanh(nn.Dense(128)(nn.tanh(nn.Dense(128)(obs)))) for _ in range(2))
        mean = nn.Dense(2, kernel_init=nn.initializers.orthogonal(0.01))(policy)
        return mean, nn.Dense(1)(value)[..., 0]


def main(steps: int = 3_000_000, env_id: str = "RandomProjection-Lite-v0") -> None:
    env, params = metaenvs.make(env_id)
    step, network = jax.vmap(env.step, (0, 0, 0, None)), ActorCritic()
    optimiser = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(5e-4))

    def act_and_step(loop, key):
        weights, obs, state = loop
        keys = jax.random.split(key, 1 + ENVS)
        mean, value = network.apply(weights, obs)
        action = mean + STD * jax.random.normal(keys[0], mean.shape)
        next_obs, state, reward, terminated, truncated, info = step(keys[1:], state, action, params)
        # A trial's end is a time limit: what would have come after it still counts.
        after = network.apply(weights, info["final_observation"])[1] * ~terminated
        delta, over = 0.05 * reward + GAMMA * after - value, terminated | truncated
        seen, returns = (obs, action, mean, value), (truncated, info["trial_return"])
        return (weights, next_obs, state), (delta, over, seen, returns)

    def backward(advantage, at):  # generalised advantage estimation
        advantage = at[0] + GAMMA * LAMBDA * ~at[1] * advantage
        return advantage, advantage

    def loss(weights, obs, action, old_mean, old_value, advantage):
        mean, value = network.apply(weights, obs)
        squares = jnp.square(action - old_mean) - jnp.square(action - mean)
        ratio = jnp.exp(jnp.sum(squares, axis=-1) / (2 * STD**2))
        norm = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        gain = jnp.minimum(ratio * norm, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * norm)
        return -gain.mean() + 0.5 * jnp.square(value - old_value - advantage).mean()

    def update(loop, key):
        (weights, moments), *start = loop
        key_act, key_batch = jax.random.split(key)
        keys = jax.random.split(key_act, LENGTH)
        loop, (delta, over, seen, returns) = jax.lax.scan(act_and_step, (weights, *start), keys)
        advantage = jax.lax.scan(backward, jnp.zeros(ENVS), (delta, over), reverse=True)[1]
        data = jax.tree.map(lambda x: jnp.concatenate(x), (*seen, advantage))

        def learn(learner, rows):
            gradient = jax.grad(loss)(learner[0], *jax.tree.map(lambda x: x[rows], data))
            change, moments = optimiser.update(gradient, learner[1])
            return (optax.apply_updates(learner[0], change), moments), None

        rows = jax.random.randint(key_batch, (BATCHES, 1024), 0, ENVS * LENGTH)
        return (jax.lax.scan(learn, (weights, moments), rows)[0], *loop[1:]), returns

    def train(key):
        key_init, key_reset, key_run = jax.random.split(key, 3)
        start = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, ENVS), params)
        weights = network.init(key_init, start[0])
        keys = jax.random.split(key_run, -(-steps // (ENVS * LENGTH)))
        return jax.lax.scan(update, ((weights, optimiser.init(weights)), *start), keys)[1]

    ended, returns = jax.jit(train)(jax.random.key(0))
    returns = returns[ended]  # of trials, in the order of their ends
    print(f"return of a trial: {returns[:64].mean():.1f}, later {returns[-640:].mean():.1f}")


if __name__ == "__main__":
    main()
