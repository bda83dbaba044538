"""Gymnax environments behind dm_env's interface.

from metaenvs.adapters.dm_env import TrialEnvironment

env = TrialEnvironment("RandomProjection-v0", seed=0)
timestep = env.reset()
while not timestep.last():
    timestep = env.step(agent(timestep.observation))
"""

from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from metaenvs import keys, registry, spaces
from metaenvs.adapters import stateful


class TrialEnvironment(dm_env.Environment):
    """One environment; a sequence from FIRST to LAST is a trial.

    A truncated trial's LAST step has discount 1, a terminated one's 0. Its observation is
    the trial's last; the step after it, whatever its action, begins the next trial.

    Args:
        env_id: any id that `metaenvs.make` takes.
        seed: of the trials.
        params: of the environment (default: `env.default_params`).
        **kwargs: for `metaenvs.make`.

    Raises:
        TypeError: if a space is none of Box, Discrete, MultiDiscrete.
    """

    def __init__(self, env_id: str, seed: int = 0, params: Any = None, **kwargs: Any):
        self._env, default = registry.make(env_id, **kwargs)
        self._params = default if params is None else params
        self._observation_spec = _spec(self._env.observation_space(self._params), "observation")
        self._action_spec = _spec(self._env.action_space(self._params), "action")
        self._key = keys.key(seed)
        self._state: Any = None  # None where a trial must begin

    def reset(self) -> dm_env.TimeStep:
        self._key, obs, self._state = stateful.reset(self._env, self._key, self._params)
        return dm_env.restart(np.asarray(obs))

    def step(self, action: Any) -> dm_env.TimeStep:
        if self._state is None:
            return self.reset()
        self._key, _, self._state, reward, terminated, truncated, info = stateful.step(
            self._env, self._key, self._state, action, self._params
        )
        obs, reward = np.asarray(info["final_observation"]), float(reward)
        if not (terminated or truncated):
            return dm_env.transition(reward, obs)
        self._state = None
        return dm_env.termination(reward, obs) if terminated else dm_env.truncation(reward, obs)

    def observation_spec(self) -> specs.Array:
        return self._observation_spec

    def action_spec(self) -> specs.Array:
        return self._action_spec


def _spec(space: Any, name: str) -> specs.Array:
    if isinstance(space, spaces.Discrete):
        return specs.DiscreteArray(space.n, np.int32, name=name)
    if isinstance(space, spaces.Box):
        low, high = np.asarray(space.low), np.asarray(space.high)
        return specs.BoundedArray(space.shape, np.dtype(space.dtype), low, high, name=name)
    if isinstance(space, spaces.MultiDiscrete):
        most = np.subtract(space.nvec, 1)
        return specs.BoundedArray(space.shape, np.int32, 0, most, name=name)
    raise TypeError(f"{name} space is {space}; Box, Discrete and MultiDiscrete have a spec")
