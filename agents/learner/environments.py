"""Any environment as one of trials: what training and evaluation see of it."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import metaenvs
from agents.config import TrainConfig
from agents.learner import env_params
from metaenvs import errors, registry, spaces


def make(config: TrainConfig) -> tuple[Any, Any]:
    """The environment that `config` names, and its params.

    Environments with trials of their own (`RandomProjection`) are left as they are, all
    others are wrapped in `EpisodeTrials`.

    Raises:
        ValueError: unknown environment, or a setting with a bad value.
        TypeError: a setting that the environment does not have.
    """
    settings = {"episodes_per_trial": config.episodes_per_trial}
    kwargs: dict[str, Any] = {k: v for k, v in settings.items() if v is not None}
    kwargs |= keywords(config)
    env, params = metaenvs.make(config.env, **kwargs)
    if config.hold > 1:
        if "action_repeat" not in registry.keywords(config.env):
            raise ValueError(
                f"hold={config.hold}: {config.env} cannot hold an action; only suites of "
                "RandomProjection can (their factories take action_repeat)"
            )
        repeat = config.hold * env.action_repeat
        env, params = metaenvs.make(config.env, **kwargs, action_repeat=repeat)
    params = env_params.replaced(env, params, config.env_params, config.env)
    if not hasattr(env, "task_names"):
        env = EpisodeTrials(env, config.observe)
    elif config.observe != TrainConfig.observe and set(env.observe) != set(config.observe):
        raise ValueError(
            f"{config.env} takes no observe: it shows {tuple(env.observe)}, not {config.observe}"
        )
    return env, params


def keywords(config: TrainConfig) -> dict[str, Any]:
    """What the environment shows and behind which projections, as `metaenvs.make` takes it."""
    chosen = {} if config.projection is None else {"projection": config.projection}
    return chosen | observed(config)


def observed(config: TrainConfig) -> dict[str, Any]:
    """The keyword by which the environment is told what to show, if it has one."""
    has_one = "observe" in registry.keywords(config.env)
    return {"observe": config.observe} if has_one else {}


def unlike_suite(config: TrainConfig) -> dict[str, Any]:
    """In what a run's trials differ from those of the environment as it is made by its id."""
    settings = {"projection": config.projection, "episodes_per_trial": config.episodes_per_trial}
    return {k: v for k, v in settings.items() if v is not None} | dict(config.env_params)


class EpisodeState(struct.PyTreeNode):
    """An episode under way: the environment's own state, and what it has paid so far."""

    env: Any
    episode_return: jax.Array


class EpisodeTrials:
    """A Gymnax environment as one of trials of one episode, with a single task.

    Observation: float32 `[observation, previous action, previous reward, start]`, the
    observation and the action as `metaenvs.spaces.encode` writes them. `observe` selects
    the last three ("action", "reward", "done"); `start` is 1 in an episode's first
    observation, where the previous action and reward are 0.

    Actions of a Box with bounds are given in [-1, 1], clipped, and scaled to the bounds.
    `info` has what `agents.learner.rollout` keeps of it.
    """

    def __init__(self, env: Any, observe: Sequence[str] = ()):
        parts = ("action", "reward", "done")
        for part in observe:
            if part not in parts:
                raise errors.unknown(part, parts, "part of the observation")
        self.env = env
        self.observe = tuple(part for part in parts if part in observe)
        self.task_names = (env.name,)

    def trial_length(self, params: Any) -> int | None:
        """The most steps of an episode; None if `params` does not say."""
        limit = getattr(params, "max_steps_in_episode", None)
        return None if limit is None else int(limit)

    def action_space(self, params: Any) -> Any:
        space = self.env.action_space(params)
        if isinstance(space, spaces.Box):
            return spaces.Box(-1.0, 1.0, (spaces.flat_size(space),))
        return space

    def observation_space(self, params: Any) -> spaces.Box:
        sizes = {"action": spaces.flat_size(self.env.action_space(params)), "reward": 1, "done": 1}
        size = spaces.flat_size(self.env.observation_space(params))
        size += sum(sizes[part] for part in self.observe)
        return spaces.Box(-jnp.inf, jnp.inf, (size,))

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, EpisodeState]:
        obs, state = self.env.reset(key, params)
        no_action = jnp.zeros(spaces.flat_size(self.env.action_space(params)))
        nothing = jnp.zeros((), jnp.float32)
        return self._join(obs, no_action, nothing, 1.0, params), EpisodeState(state, nothing)

    def step(self, key: jax.Array, state: EpisodeState, action: jax.Array, params: Any) -> Any:
        space = self.env.action_space(params)
        action = _unscaled(space, action)
        obs, env_state, reward, terminated, truncated, info = self.env.step(
            key, state.env, action, params
        )
        reward = jnp.asarray(reward, jnp.float32)
        over = jnp.logical_or(terminated, truncated)
        episode_return = state.episode_return + reward
        taken = spaces.encode(space, action)
        info = {
            "task_id": jnp.zeros((), jnp.int32),
            "episode_index": jnp.zeros((), jnp.int32),
            "episode_over": over,
            "episode_terminated": terminated,
            "episode_return": episode_return,
            "final_observation": self._join(info["final_observation"], taken, reward, 0.0, params),
        }
        # The state and observation are the next episode's where one ended.
        going_on = 1.0 - over
        obs = self._join(obs, going_on * taken, going_on * reward, 1.0 * over, params)
        state = EpisodeState(env_state, going_on * episode_return)
        return obs, state, reward, terminated, truncated, info

    def _join(self, obs, action, reward, start, params) -> jax.Array:
        one = {"reward": reward, "done": start}
        extra = {"action": action, **{k: jnp.full(1, v, jnp.float32) for k, v in one.items()}}
        seen = spaces.encode(self.env.observation_space(params), obs)
        return jnp.concatenate([seen, *(extra[part] for part in self.observe)])

    def __repr__(self) -> str:
        return f"EpisodeTrials({self.env!r})"


def _unscaled(space: Any, action: jax.Array) -> jax.Array:
    if not isinstance(space, spaces.Box):
        return action
    action = action.reshape(space.shape)
    low, high = np.asarray(space.low), np.asarray(space.high)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return action
    return (low + high) / 2 + (high - low) / 2 * jnp.clip(action, -1.0, 1.0)
