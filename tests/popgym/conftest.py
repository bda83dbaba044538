"""popgym 1.0.7 as the reference of our POPGym, put into our hidden states."""

import functools
import warnings
from types import SimpleNamespace
from typing import Any

import gymnasium
import jax
import numpy as np
import popgym  # noqa: F401 - registers its environments with gymnasium
import pytest

from metaenvs.popgym import make


class Script:
    """Stands for a NumPy generator and draws what it is told to, in the order told.

    `shuffle`: orders of cards; `choice`: chosen cells; `uniform`, `random`: arrays and
    numbers; `normal`: draws of the standard normal distribution, which are scaled as asked for.
    """

    def __init__(self, **draws: list[Any]):
        self._draws = {kind: iter(values) for kind, values in draws.items()}

    def shuffle(self, cards: np.ndarray) -> None:
        cards[:] = next(self._draws["shuffle"])

    def choice(self, cells: np.ndarray, size: int, replace: bool) -> np.ndarray:
        return np.asarray(next(self._draws["choice"]))

    def uniform(self, low: Any, high: Any, size: Any = None) -> np.ndarray:
        return np.asarray(next(self._draws["uniform"]), np.float64)

    def random(self, size: Any = None, dtype: Any = None) -> Any:
        return next(self._draws["random"])

    def normal(self, mean: Any, deviation: Any) -> np.ndarray:
        return mean + deviation * np.asarray(next(self._draws["normal"]), np.float64)


@pytest.fixture(scope="session")
def reference():
    """`reference(id)`: popgym's environment, without gymnasium's wrappers."""

    @functools.cache
    def load(env_id: str) -> Any:
        with warnings.catch_warnings():
            # popgym's labyrinths advise against themselves.
            warnings.simplefilter("ignore", DeprecationWarning)
            return gymnasium.make(env_id, disable_env_checker=True).unwrapped

    return load


@pytest.fixture(scope="session")
def script():
    return Script


def _follow(state: Any, plan: jax.Array) -> jax.Array:
    return plan


@pytest.fixture(scope="session")
def run():
    """`run(id, seed, plan [B, T, ...], policy)`: B of our episodes of T steps, in NumPy.

    Action t of an episode is `policy(state, plan[t])`, by default `plan[t]` itself. Returned:
    `states [B, T + 1]`, `observation [B, T + 1]`, and for each step `action`, `reward`,
    `terminated`, `truncated [B, T]`. What follows an episode's end (the auto-reset's new
    episode) is to be ignored, but the end itself is seen before the reset.
    """

    @functools.cache
    def compiled(env_id: str, policy: Any) -> Any:
        env = make(env_id)
        params = env.default_params

        def step(carry, xs):
            key, plan = xs
            action = policy(carry, plan)
            _, state, reward, terminated, truncated, info = env.step(key, carry, action, params)
            return state, SimpleNamespace(
                states=state,
                observation=info["final_observation"],
                action=action,
                reward=reward,
                terminated=terminated,
                truncated=truncated,
            ).__dict__

        def episode(key, plan):
            key_reset, key_steps = jax.random.split(key)
            observation, state = env.reset(key_reset, params)
            keys = jax.random.split(key_steps, len(plan))
            _, seen = jax.lax.scan(step, state, (keys, plan))
            for name, first in (("states", state), ("observation", observation)):
                seen[name] = jax.tree.map(
                    lambda x, xs: jax.numpy.concatenate([x[None], xs]), first, seen[name]
                )
            return seen

        return jax.jit(jax.vmap(episode))

    def play(env_id: str, seed: int, plan: np.ndarray, policy: Any = _follow) -> SimpleNamespace:
        keys = jax.random.split(jax.random.key(seed), len(plan))
        seen = compiled(env_id, policy)(keys, plan)
        return SimpleNamespace(**jax.tree.map(np.asarray, seen))

    return play
