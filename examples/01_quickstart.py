"""Step 64 trials side by side with random actions, and see what a trial looks like."""

import jax
import jax.numpy as jnp

import metaenvs

ENVS, STEPS = 64, 500  # one trial of the Lite suite


def main() -> None:
    env, params = metaenvs.make("RandomProjection-Lite-v0")
    obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.key(0), ENVS), params)

    def step(state, key):
        key_act, key_step = jax.random.split(key)
        action = jax.random.uniform(key_act, (ENVS, env.action_size), minval=-1, maxval=1)
        keys = jax.random.split(key_step, ENVS)
        _, state, _, _, truncated, info = jax.vmap(env.step, (0, 0, 0, None))(
            keys, state, action, params
        )
        return state, (truncated, info)

    keys = jax.random.split(jax.random.key(1), STEPS)
    _, (truncated, info) = jax.jit(lambda state: jax.lax.scan(step, state, keys))(state)

    print(f"observation {obs.shape[-1]}: projected {env.obs_size}, then action, reward, done")
    print(f"trials ended: {int(truncated.sum())}, episodes: {int(info['episode_over'].sum())}")
    for i, name in enumerate(env.task_names):
        ended = info["episode_over"] & (info["task_id"] == i)
        if ended.any():
            mean = jnp.sum(info["episode_return"] * ended) / ended.sum()
            print(f"{name:20s} {int(ended.sum()):3d} episodes, mean return {mean:6.1f}")


if __name__ == "__main__":
    main()
