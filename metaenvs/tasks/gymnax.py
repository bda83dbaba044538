"""Any Gymnax environment with Box spaces as a task of a trial."""

import dataclasses
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from metaenvs import keys
from metaenvs.identity import code_of
from metaenvs.precision import in_32_bits
from metaenvs.tasks.base import Task


@in_32_bits
def from_gymnax(
    env: environment.Environment,
    params: Any = None,
    name: str | None = None,
    *,
    max_steps: int | None = None,
    cheap: bool = False,
) -> Task:
    """`env` as a task: `from_gymnax(*gymnax.make("Pendulum-v1"))`.

    The environment's own dynamics, rewards, termination and params are kept. What changes:

    * Actions are clipped to the action box before the environment sees them (Gymnax's
      Reacher-misc and Swimmer-misc never clip, MountainCarContinuous-v0 charges for the
      action before its clip). A trial maps [-1, 1] to that box.
    * Observations and actions of any rank are flattened to rank one, in C order;
      observations become float32.

    Several tasks made of one `env` object with different `params` share one compiled
    program in a trial.

    Args:
        env: a Gymnax (>= 1.0) environment. The fourth value of its `step_env` is
            termination alone, without the time limit.
        params: its params (default: `env.default_params`). They are the task's, so every
            leaf may be traced, as Gymnax demands anyway.
        name: of the task (default: `env.name`).
        max_steps: time limit of an episode (default: `params.max_steps_in_episode`;
            needed where the params have none).
        cheap: whether a step costs less than sorting a batch by task (see `Task`).

    Raises:
        TypeError: `env` is no Gymnax environment; a space is not a Box of floats; the
            state or the step's results change their type on the way.
        ValueError: an unbounded action box; no time limit; an observation that is not
            of its space's shape. Every message names the environment.
    """
    if not isinstance(env, environment.Environment):
        # A GymnaxWrapper too: its step_env is that of the environment inside.
        raise TypeError(
            f"from_gymnax takes an instance of gymnax.environments.environment.Environment, "
            f"got {env!r}; of wrappers only the environment inside would be used"
        )
    name = env.name if name is None else name
    params = env.default_params if params is None else params
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"{name}: max_steps must be at least 1, got {max_steps}")
    if not hasattr(params, "max_steps_in_episode"):
        if max_steps is None:
            raise ValueError(
                f"{name}: its params have no max_steps_in_episode; give max_steps=..., the "
                "time limit of an episode"
            )
        env, params = _TimeLimit(env), _LimitedParams(params, max_steps)
    elif max_steps is not None:
        params = dataclasses.replace(params, max_steps_in_episode=max_steps)
    _check_box(name, "observation", env.observation_space(params))
    _check_box(name, "action", env.action_space(params))
    _check_step(name, env, params)
    return GymnaxTask(env, params, name, cheap)


class GymnaxTask(Task):
    """A Gymnax environment behind flat Boxes; state and params are its own."""

    def __init__(self, env: environment.Environment, params: Any, name: str, cheap: bool = False):
        super().__init__(name, params)
        self._env = env
        self.cheap = cheap

    @property
    def program(self) -> Hashable:
        leaves, structure = jax.tree.flatten(self.default_params)
        types = tuple((np.shape(x), jnp.result_type(x).name) for x in leaves)
        return GymnaxTask, code_of(self._env), structure, types

    @in_32_bits
    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        observation, state = self._env.reset_env(key, params)
        return _flat(observation), state

    @in_32_bits
    def step_env(
        self, key: jax.Array, state: Any, action: jax.Array, params: Any
    ) -> tuple[jax.Array, Any, jax.Array, jax.Array, dict[Any, Any]]:
        box = self._env.action_space(params)
        action = jnp.reshape(jnp.asarray(action, jnp.float32), box.shape)
        action = jnp.clip(action, box.low, box.high)
        observation, state, reward, terminated, info = self._env.step_env(
            key, state, action, params
        )
        reward = jnp.reshape(jnp.asarray(reward, jnp.float32), ())
        terminated = jnp.reshape(jnp.asarray(terminated, bool), ())
        return _flat(observation), state, reward, terminated, info

    def is_truncated(self, state: Any, params: Any) -> jax.Array:
        return jnp.asarray(self._env.is_truncated(state, params), bool)

    def is_terminated(self, state: Any, params: Any) -> jax.Array:
        return self._env.is_terminated(state, params)

    @property
    def num_actions(self) -> int:
        return self.action_space().shape[0]

    def action_space(self, params: Any = None) -> spaces.Box:
        return _flat_box(self._env.action_space(self._or_default(params)))

    def observation_space(self, params: Any = None) -> spaces.Box:
        return _flat_box(self._env.observation_space(self._or_default(params)))

    def _or_default(self, params: Any) -> Any:
        return self.default_params if params is None else params


class _LimitedParams(struct.PyTreeNode):
    inner: Any
    max_steps_in_episode: int


class _LimitedState(struct.PyTreeNode):
    inner: Any
    time: jax.Array


@dataclasses.dataclass(frozen=True)
class _TimeLimit(environment.Environment):
    """Counts the steps of an environment whose params know no limit."""

    inner: environment.Environment

    def reset_env(self, key, params):
        observation, state = self.inner.reset_env(key, params.inner)
        return observation, _LimitedState(state, jnp.zeros((), jnp.int32))

    def step_env(self, key, state, action, params):
        observation, inner, reward, terminated, info = self.inner.step_env(
            key, state.inner, action, params.inner
        )
        return observation, _LimitedState(inner, state.time + 1), reward, terminated, info

    def is_truncated(self, state, params):
        over = state.time >= params.max_steps_in_episode
        if type(self.inner).is_truncated is not environment.Environment.is_truncated:
            over |= self.inner.is_truncated(state.inner, params.inner)
        return over

    def is_terminated(self, state, params):
        return self.inner.is_terminated(state.inner, params.inner)

    def action_space(self, params):
        return self.inner.action_space(params.inner)

    def observation_space(self, params):
        return self.inner.observation_space(params.inner)


def _flat(observation: Any) -> jax.Array:
    return jnp.ravel(jnp.asarray(observation, jnp.float32))


def _flat_box(box: spaces.Box) -> spaces.Box:
    low, high = (jnp.ravel(jnp.broadcast_to(x, box.shape)) for x in (box.low, box.high))
    return spaces.Box(low.astype(jnp.float32), high.astype(jnp.float32), low.shape)


def _check_box(name: str, what: str, space: Any) -> None:
    if not isinstance(space, spaces.Box):
        raise TypeError(f"{name}: {what} space is {space}; a task needs a gymnax Box")
    if what == "observation":
        return
    if not jnp.issubdtype(space.dtype, jnp.floating):
        raise TypeError(f"{name}: action space is {space}; a task needs a Box of floats")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise ValueError(
            f"{name}: action space is {space}; a task needs finite bounds, since trials map "
            "[-1, 1] to them"
        )


def _check_step(name: str, env: environment.Environment, params: Any) -> None:
    """Trace one step: whatever would fail deep inside a trial is named here."""
    key = jax.eval_shape(lambda: keys.key(0))
    observation, state = jax.eval_shape(env.reset_env, key, params)
    box = env.action_space(params)
    action = jax.ShapeDtypeStruct(box.shape, jnp.float32)
    out = jax.eval_shape(env.step_env, key, state, action, params)
    if len(out) != 5:
        raise TypeError(
            f"{name}: step_env returns {len(out)} values, not "
            "(observation, state, reward, terminated, info)"
        )
    want = tuple(env.observation_space(params).shape)
    for where, got in (("reset_env", observation), ("step_env", out[0])):
        if np.shape(got) != want:
            raise ValueError(
                f"{name}: observation of {where} has shape {np.shape(got)}, its space {want}"
            )
    for what, value in (("reward", out[2]), ("terminated", out[3])):
        if np.size(value) != 1:
            raise ValueError(f"{name}: {what} has shape {np.shape(value)}, not ()")
    before, after = _types(state), _types(out[1])
    changed = [
        f"{path}: {before.get(path)} -> {after.get(path)}"
        for path in {**before, **after}
        if before.get(path) != after.get(path)
    ]
    if changed:
        raise TypeError(f"{name}: a step changes the state's types: {'; '.join(changed)}")


def _types(tree: Any) -> dict[str, str]:
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(p): f"{x.dtype}{list(x.shape)}" for p, x in paths}
