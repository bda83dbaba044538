"""dm_control as the reference of our tasks."""

import os

# Physics only: without this dm_control looks for a display when imported.
os.environ.setdefault("MUJOCO_GL", "disable")

import functools
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_control import suite

from metaenvs import tasks


def split_name(name: str) -> tuple[str, str]:
    """`point_mass_easy` -> (`point_mass`, `easy`)."""
    return next(
        (domain, name.removeprefix(domain + "_"))
        for domain in suite.TASKS_BY_DOMAIN
        if name.startswith(domain + "_")
        and name.removeprefix(domain + "_") in suite.TASKS_BY_DOMAIN[domain]
    )


class Reference:
    """A dm_control environment that can be put into one of our states."""

    def __init__(self, environment: Any):
        self.environment = environment
        self.physics = environment.physics

    def set_state(self, state: Any) -> None:
        self.environment.reset()
        physics = self.physics
        with physics.reset_context():
            if hasattr(state, "target"):
                physics.named.model.geom_pos["target", ["x", "y"]] = np.asarray(state.target)
            if hasattr(state, "directions"):
                physics.model.wrap_prm[:] = np.asarray(state.directions).ravel()
            physics.data.qpos[:] = np.asarray(state.qpos)
            physics.data.qvel[:] = np.asarray(state.qvel)

    def look(self) -> dict[str, np.ndarray]:
        observation = self.environment.task.get_observation(self.physics)
        return {
            "observation": np.concatenate([np.ravel(part) for part in observation.values()]),
            "qpos": self.physics.data.qpos.copy(),
            "qvel": self.physics.data.qvel.copy(),
        }

    def rollout(self, state: Any, actions: np.ndarray) -> SimpleNamespace:
        """Arrays `[T + 1, ...]` of what is seen and `reward [T]`."""
        self.set_state(state)
        seen, rewards = [self.look()], []
        for action in actions:
            rewards.append(self.environment.step(action).reward)
            seen.append(self.look())
        stacked = {name: np.stack([s[name] for s in seen]) for name in seen[0]}
        return SimpleNamespace(**stacked, reward=np.array(rewards))


@pytest.fixture(scope="session")
def reference():
    """`reference(name)`: the dm_control environment of that task."""

    @functools.cache
    def load(name: str) -> Reference:
        return Reference(suite.load(*split_name(name), task_kwargs={"random": 0}))

    return load


@pytest.fixture(scope="session")
def wrap_reference():
    """`wrap_reference(environment)`: the same around a dm_control environment of one's own."""
    return Reference


@pytest.fixture(scope="session")
def run():
    """Our side, compiled once per program: `run(name).rollout`, `.step` and `.reset`.

    `rollout(states, actions, params)`: batches of starts and of actions `[B, T, A]`;
    observation, qpos, qvel `[B, T + 1, ...]` and reward `[B, T]`.
    `step(states, actions, params)`: one step of each state; `reset(keys, params)`.
    """
    compiled: dict[Any, SimpleNamespace] = {}

    def one_step(task, state, action, params):
        observation, state, reward, _, _ = task.step_env(jax.random.key(0), state, action, params)
        return state, {
            "observation": observation,
            "qpos": state.qpos,
            "qvel": state.qvel,
            "reward": reward,
        }

    def one_rollout(task, state, actions, params):
        _, seen = jax.lax.scan(lambda s, a: one_step(task, s, a, params), state, actions)
        first = {
            "observation": task.observation(state, params),
            "qpos": state.qpos,
            "qvel": state.qvel,
        }
        for part, value in first.items():
            seen[part] = jnp.concatenate([value[None], seen[part]])
        return seen

    def get(name: str) -> SimpleNamespace:
        task = tasks.make(name)
        code = task.program, task.observation_space().shape
        if code not in compiled:
            over = functools.partial(jax.vmap, in_axes=(0, 0, None))
            compiled[code] = SimpleNamespace(
                rollout=jax.jit(over(functools.partial(one_rollout, task))),
                step=jax.jit(over(functools.partial(one_step, task))),
                reset=jax.jit(jax.vmap(task.reset_env, in_axes=(0, None))),
            )
        return compiled[code]

    return get
