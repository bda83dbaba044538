"""Gymnax environments as Gymnasium's: one at a time, and as a vector environment.

    import gymnasium
    import metaenvs.adapters.gymnasium  # registers every id of metaenvs, as metaenvs/ID

    env = gymnasium.make("metaenvs/RandomProjection-v0", split="held_out")
    envs = gymnasium.make_vec("metaenvs/RandomProjection-v0", num_envs=64)

An episode of Gymnasium is a trial. All trials of a vector environment are stepped by one
compiled program; a single environment pays that program's call for every step, so take the
vector environment where speed counts.

Gymnasium's own asynchronous vector mode starts processes. JAX does not outlive a fork, so
they have to be spawned: `vector_kwargs={"context": "spawn"}`.
"""

import operator
import os
from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from gymnax.environments.spaces import gymnax_space_to_gym_space

from metaenvs import keys, registry, spaces
from metaenvs.adapters import stateful

_IN_FINAL_INFO = ("terminated", "truncated", "final_observation")
"""Entries of Gymnax's `info` that Gymnasium returns elsewhere."""


class TrialEnv(gymnasium.Env):
    """One environment. Its trials begin anew with `reset`, as in Gymnasium.

    The observation that comes with `truncated` is the trial's last: the one to bootstrap
    a value from. `info` holds NumPy scalars and arrays.

    Args:
        env_id: any id that `metaenvs.make` takes.
        params: of the environment (default: `env.default_params`).
        **kwargs: for `metaenvs.make`.
    """

    def __init__(
        self, env_id: str, params: Any = None, render_mode: str | None = None, **kwargs: Any
    ):
        _check_process()
        _check_render_mode(env_id, render_mode)
        self.metadata = {"render_modes": []}
        self._env, default = registry.make(env_id, **kwargs)
        self._params = default if params is None else params
        self.observation_space, self.action_space = _spaces(self._env, self._params)
        self._key: jax.Array | None = None
        self._state: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a trial, which depends on nothing but the seed and the resets since."""
        super().reset(seed=None if seed is None else _seed(seed))
        _refuse(options)
        self._key, obs, self._state = stateful.reset(self._env, _key(self.np_random), self._params)
        return _observation(np.asarray(obs)), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step; at a trial's end call `reset`.

        Raises:
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        key = _after_reset(self._key)
        action = action if isinstance(action, jax.Array) else np.asarray(action)
        self._key, _, self._state, reward, terminated, truncated, info = stateful.step(
            self._env, key, self._state, action, self._params
        )
        info = jax.device_get(info)
        obs = _observation(info["final_observation"])
        info = {name: _entry(x) for name, x in info.items() if name not in _IN_FINAL_INFO}
        return obs, float(reward), bool(terminated), bool(truncated), info


class TrialVectorEnv(gymnasium.vector.VectorEnv):
    """`num_envs` environments, stepped together.

    Where a trial ends, `step` returns the first observation of the next one; the last
    one is in `infos["final_obs"]`, that step's info in `infos["final_info"]`. So it is in
    autoreset mode `SAME_STEP`, the default. In mode `NEXT_STEP`, which Gymnasium's vector
    `NormalizeObservation` needs, `step` returns the last observation and that step's info, and
    the step after it takes no action there: it returns the next trial's first observation, a
    reward of 0 and no info. With the same seed each trial is that of a `TrialEnv`, up to its
    end, in either mode.

    Args:
        env_id: any id that `metaenvs.make` takes.
        num_envs: how many.
        params: shared by all (default: `env.default_params`).
        autoreset_mode: "SameStep" or "NextStep", or Gymnasium's `AutoresetMode`.
        **kwargs: for `metaenvs.make`.

    Raises:
        ValueError: fewer environments than one, another autoreset mode, or a render mode.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        params: Any = None,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        **kwargs: Any,
    ):
        _check_process()
        _check_render_mode(env_id, render_mode)
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.metadata = {"render_modes": [], "autoreset_mode": _autoreset_mode(autoreset_mode)}
        self.num_envs = num_envs
        self._env, default = registry.make(env_id, **kwargs)
        self._params = default if params is None else params
        single = _spaces(self._env, self._params)
        self.single_observation_space, self.single_action_space = single
        self.observation_space, self.action_space = (batch_space(s, num_envs) for s in single)
        self._keys: jax.Array | None = None
        self._states: Any = None
        # In mode NEXT_STEP: where the last step ended a trial, and what the next one starts with.
        self._over: Any = None
        self._first: Any = None

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | np.ndarray | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a trial in every environment; `seed` s stands for s, s + 1, ...

        A seed, or all seeds of a sequence, also decide what later resets without one draw.
        A None in a sequence is drawn.
        """
        _refuse(options)
        generators = [seeding.np_random(s)[0] for s in self._seeds(seed)]
        starts = jax.numpy.stack([_key(generator) for generator in generators])
        self._keys, obs, self._states = stateful.reset_all(self._env, starts, self._params)
        self._over, self._first = np.zeros(self.num_envs, bool), obs
        return self._batch(obs), {}

    def _seeds(self, seed: Any) -> list[int]:
        """A seed for each environment; the generator is seeded by what is given."""
        if seed is not None and np.ndim(seed) > 0:
            given = [None if s is None else _seed(s) for s in seed]
            if len(given) != self.num_envs:
                raise ValueError(f"{len(given)} seeds given for {self.num_envs} environments")
            all_given = [s for s in given if s is not None]
            if len(all_given) == len(given):
                self._np_random = np.random.default_rng(all_given)
            return [int(self.np_random.integers(2**31)) if s is None else s for s in given]
        super().reset(seed=None if seed is None else _seed(seed))
        first = int(self.np_random.integers(2**31)) if seed is None else _seed(seed)
        return [first + i for i in range(self.num_envs)]

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every environment; `actions` is an array or a sequence, one for each.

        Raises:
            gymnasium.error.ResetNeeded: before the first `reset`.
            ValueError: for actions of another shape than the action space's.
        """
        keys = _after_reset(self._keys)
        actions = actions if isinstance(actions, jax.Array) else np.asarray(actions)
        if actions.shape != self.action_space.shape:
            raise ValueError(
                f"actions have shape {actions.shape}, needed is {self.action_space.shape}"
            )
        before = keys, self._states
        self._keys, obs, self._states, *results, info = stateful.step_all(
            self._env, keys, self._states, actions, self._params
        )
        obs, results, info = jax.device_get((obs, results, info))
        # Copies: what a caller stores or scales must not be JAX's own, read-only memory.
        reward, terminated, truncated = (np.array(x) for x in results)
        if self.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP:
            return self._batch(obs), reward, terminated, truncated, self._infos(info)
        starts = self._over
        if starts.any():  # these have been reset already, and take no step
            after = self._keys, self._states
            self._keys, self._states = stateful.select(starts, before, after)
            for x in (reward, terminated, truncated):
                x[starts] = 0
        self._over = terminated | truncated
        seen = np.where(_column(starts, obs), self._first, obs)
        last = np.where(_column(self._over, obs), info["final_observation"], seen)
        self._first = obs
        return self._batch(last), reward, terminated, truncated, self._of_envs(~starts, info)

    def _batch(self, obs: Any) -> np.ndarray:
        return np.array(obs, self.observation_space.dtype)

    def _infos(self, info: dict[str, np.ndarray]) -> dict[str, Any]:
        """Each entry with the mask of environments that have it, as Gymnasium's own."""
        over = info["terminated"] | info["truncated"]
        infos = self._of_envs(~over, info)
        if over.any():
            final_obs = np.full(self.num_envs, None, dtype=object)
            for i in np.flatnonzero(over):
                final_obs[i] = info["final_observation"][i]
            infos |= {"final_obs": final_obs, "_final_obs": over.copy()}
            infos |= {"final_info": self._of_envs(over, info), "_final_info": over.copy()}
        return infos

    def _of_envs(self, mask: np.ndarray, info: dict[str, np.ndarray]) -> dict[str, Any]:
        """The entries of the environments in `mask [num_envs]`, each with that mask."""
        if not mask.any():
            return {}
        info = {name: value for name, value in info.items() if name not in _IN_FINAL_INFO}
        kept = {name: value * _column(mask, value) for name, value in info.items()}
        return kept | {f"_{name}": mask.copy() for name in info}


def _observation(x: np.ndarray) -> Any:
    """`x`; a single integer as Python's, which Gymnasium's checker wants of a Discrete."""
    return x[()] if x.ndim or x.dtype.kind == "f" else x.item()


def _entry(x: np.ndarray) -> Any:
    # Gymnasium batches Python's booleans and NumPy's numbers; NumPy's booleans it does not know.
    return bool(x) if x.dtype == bool and not x.ndim else x[()]


def _column(mask: np.ndarray, value: np.ndarray) -> np.ndarray:
    return mask.reshape(mask.shape + (1,) * (value.ndim - 1))


def _spaces(env: Any, params: Any) -> tuple[gymnasium.Space, gymnasium.Space]:
    return _space(env.observation_space(params)), _space(env.action_space(params))


def _space(space: Any) -> gymnasium.Space:
    if isinstance(space, spaces.MultiDiscrete):  # Gymnax has none
        return gymnasium.spaces.MultiDiscrete(list(space.nvec), dtype=np.int32)
    return gymnax_space_to_gym_space(space)


def _seed(value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"a seed is a whole number, or one for each environment; got {value!r}"
        ) from None


def _after_reset(key: jax.Array | None) -> jax.Array:
    if key is None:
        raise gymnasium.error.ResetNeeded("call reset before the first step")
    return key


def _check_render_mode(env_id: str, mode: str | None) -> None:
    if mode is not None:
        raise ValueError(
            f"{env_id} has no render_mode, got {mode!r}: `metaenvs render` and "
            "metaenvs.rendering.animation draw trials"
        )


def _autoreset_mode(mode: Any) -> AutoresetMode:
    modes = (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP)
    for known in modes:
        if mode in (known, known.value):
            return known
    raise ValueError(
        f"autoreset_mode {mode!r} is none of {', '.join(m.value for m in modes)}: a trial that is "
        "over is followed by the next"
    )


_process: int | None = None
"""The process that first made an environment here. A child forked of it inherits the number."""


def _check_process() -> None:
    global _process
    if _process is None:
        _process = os.getpid()
    if _process != os.getpid():
        raise RuntimeError(
            "this process was forked of one that has used JAX, where JAX stands still: start "
            'processes by spawn, as make_vec(..., vector_kwargs={"context": "spawn"}) does'
        )


def _refuse(options: dict[str, Any] | None) -> None:
    if options:
        raise ValueError(f"reset takes no options, got {sorted(options)}; params are set by make")


def _key(generator: np.random.Generator) -> jax.Array:
    return keys.key(int(generator.integers(2**31)))


def register(env_id: str) -> str:
    """Make `env_id` known to Gymnasium as `metaenvs/env_id`, which is returned.

    Ids that metaenvs knows when this module is imported are registered already.
    """
    name = f"metaenvs/{env_id}"
    if name not in gymnasium.registry:
        gymnasium.register(
            name,
            entry_point=f"{__name__}:TrialEnv",
            vector_entry_point=f"{__name__}:TrialVectorEnv",
            kwargs={"env_id": env_id},
        )
    return name


for _env_id in registry.registered_envs:
    register(_env_id)
