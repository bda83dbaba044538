"""MuJoCo Playground's environments as tasks; skipped where it is not installed."""

import importlib.util
import sys

import jax
import numpy as np
import pytest

from metaenvs import RandomProjection, tasks

needs_playground = pytest.mark.skipif(
    importlib.util.find_spec("mujoco_playground") is None, reason="needs MuJoCo Playground"
)


@needs_playground
@pytest.mark.filterwarnings("ignore")  # its own, of the versions of its libraries
def test_a_playground_environment_is_stepped_as_by_hand():
    task = tasks.from_playground("PendulumSwingup", max_steps=6)
    assert task.name == "PendulumSwingup"
    env = RandomProjection([task], obs_size=3, action_size=1, projection="identity")
    theirs = jax.jit(task.brax_env.step)
    _, state = env.reset(jax.random.key(0))
    full = task.brax_state(env.task_state(state))
    random = np.random.default_rng(0)
    for t in range(6):
        action = random.uniform(-1.5, 1.5, 1).astype(np.float32)
        full = theirs(full, np.clip(action, -1.0, 1.0))
        _, state, reward, _, truncated, info = env.step(jax.random.key(t), state, action)
        np.testing.assert_allclose(reward, full.reward, atol=1e-5)
        assert bool(truncated) == (t == 5)
        if t < 5:
            mine = task.brax_state(env.task_state(state)).data
            np.testing.assert_allclose(mine.qpos, full.data.qpos, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(mine.qvel, full.data.qvel, rtol=1e-4, atol=1e-5)
    assert info["episode_length"] == 6
    assert tasks.from_playground("PendulumSwingup").default_params.max_steps_in_episode == 1000


@needs_playground
@pytest.mark.filterwarnings("ignore")
def test_unknown_names_are_named():
    with pytest.raises(ValueError, match=r"'CheetahRan'.*'CheetahRun'"):
        tasks.from_playground("CheetahRan")


def test_without_playground_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco_playground", None)
    with pytest.raises(ImportError, match=r"metaenvs\[playground\]"):
        tasks.from_playground("CheetahRun")
