"""Gymnax environments as Brax's, for Brax's own training programs.

    from brax.training.agents.ppo import train as ppo
    from metaenvs.adapters.brax import BraxEnv, wrap

    env = BraxEnv(*metaenvs.make("RandomProjection-Lite-v0"))
    ppo.train(env, wrap_env_fn=wrap, episode_length=env.trial_length, ...)

`wrap` is needed: by default Brax resets an environment to the *first* state it ever had,
here to the same task and the same projection for ever.
"""

from typing import Any

import jax
import jax.numpy as jnp

from metaenvs.tasks.brax.task import import_envs

envs = import_envs()
_Env: Any = envs.Env


class BraxEnv(_Env):
    """A Gymnax environment, auto-reset included: `BraxEnv(*metaenvs.make(...))`.

    `gymnax.wrappers.brax.GymnaxToBraxWrapper` (1.0.1) is the same idea, but its sizes are
    methods (and 1), and its `info` changes its structure in the first step, so that
    Brax's programs cannot scan it.

    `state.info` holds what Brax's agents read (`steps`, `truncation`, `episode_done`,
    `episode_metrics`, where Brax's episode is our trial), Gymnax's `info` of the last step,
    and the `key` of the next.

    Args:
        env: a Gymnax (>= 1.0) environment with one vector of observations.
        params: its params (default: `env.default_params`).
    """

    def __init__(self, env: Any, params: Any = None):
        self._env = env
        self._params = env.default_params if params is None else params

    def reset(self, rng: jax.Array) -> Any:
        key, key_reset = jax.random.split(rng)
        obs, env_state = self._env.reset(key_reset, self._params)
        action = jnp.zeros(self._env.action_space(self._params).shape)
        step = jax.eval_shape(self._env.step, key, env_state, action, self._params)
        info = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), step[-1])
        zero = jnp.zeros(())
        return envs.State(
            pipeline_state=env_state,
            obs=obs,
            reward=zero,
            done=zero,
            metrics={},
            info=info
            | {
                "key": key,
                "steps": zero,
                "truncation": zero,
                "episode_done": zero,
                "episode_metrics": {"sum_reward": zero, "length": zero},
            },
        )

    def step(self, state: Any, action: jax.Array) -> Any:
        key, key_step = jax.random.split(state.info["key"])
        obs, env_state, reward, terminated, truncated, info = self._env.step(
            key_step, state.pipeline_state, action, self._params
        )
        done = (terminated | truncated).astype(jnp.float32)
        same_trial = 1.0 - state.info["episode_done"]
        steps = state.info["steps"] * same_trial + 1.0
        sum_reward = state.info["episode_metrics"]["sum_reward"] * same_trial + reward
        info |= {
            "key": key,
            "steps": steps,
            "truncation": (truncated & ~terminated).astype(jnp.float32),
            "episode_done": done,
            "episode_metrics": {"sum_reward": sum_reward, "length": steps},
        }
        # Brax's wrappers keep entries of their own there.
        info = state.info | info
        return state.replace(pipeline_state=env_state, obs=obs, reward=reward, done=done, info=info)

    @property
    def observation_size(self) -> int:
        return self._env.observation_space(self._params).shape[0]

    @property
    def action_size(self) -> int:
        return self._env.action_space(self._params).shape[0]

    @property
    def backend(self) -> str:
        return "gymnax"

    @property
    def trial_length(self) -> int:
        """The most steps of one trial: Brax's `episode_length`."""
        if hasattr(self._env, "trial_length"):
            return self._env.trial_length(self._params)
        return int(self._params.max_steps_in_episode)


def wrap(
    env: Any, episode_length: int, action_repeat: int = 1, randomization_fn: Any = None
) -> Any:
    """What Brax's `train` functions take as `wrap_env_fn`: a batch, without Brax's auto-reset.

    Raises:
        ValueError: for what the environment does itself: `action_repeat` other than 1, a
            `randomization_fn`.
    """
    if action_repeat != 1 or randomization_fn is not None:
        raise ValueError(
            "action_repeat and randomization_fn are Brax's; a trial has its own, given to "
            f"metaenvs.RandomProjection: got {action_repeat}, {randomization_fn}"
        )
    return envs.training.VmapWrapper(env)
