"""The vector environment for PyTorch: JAX's own memory, and the trials of JAX's own loop."""

import jax
import numpy as np
import pytest

import metaenvs
from metaenvs.adapters import stateful

torch = pytest.importorskip("torch")


@pytest.fixture
def envs(tiny):
    from metaenvs.adapters.torch import TorchVectorEnv

    return TorchVectorEnv(tiny, num_envs=8)


def test_nothing_is_copied(envs, monkeypatch):
    seen = []

    def step_all(env, keys, states, actions, params):
        out = stepped(env, keys, states, actions, params)
        seen.append((actions, out))
        return out

    stepped = stateful.step_all
    monkeypatch.setattr(stateful, "step_all", step_all)
    envs.reset(seed=0)
    actions = torch.rand(8, 2)
    obs, reward, _, truncated, infos = envs.step(actions)
    given, (_, jax_obs, _, jax_reward, _, jax_truncated, info) = seen[0]
    assert given.unsafe_buffer_pointer() == actions.data_ptr()
    for tensor, array in (
        (obs, jax_obs),
        (reward, jax_reward),
        (truncated, jax_truncated),
        (infos["task_reward"], info["task_reward"]),
    ):
        assert tensor.data_ptr() == array.unsafe_buffer_pointer()
    assert obs.dtype == torch.float32 and truncated.dtype == torch.bool


def test_the_trials_are_those_of_jax(envs, tiny):
    env, params = metaenvs.make(tiny)
    keys = jax.random.split(jax.random.key(3), 8)
    keys, obs, states = stateful.reset_all(env, keys, params)
    np.testing.assert_array_equal(envs.reset(seed=3).numpy(), obs)
    rng, ended = np.random.default_rng(0), 0
    for _ in range(25):  # beyond two trials' ends
        actions = rng.uniform(-1, 1, (8, 2)).astype(np.float32)
        keys, obs, states, reward, _, truncated, info = stateful.step_all(
            env, keys, states, actions, params
        )
        tensors = envs.step(torch.from_numpy(actions))
        for tensor, array in zip(tensors, (obs, reward, _, truncated), strict=False):
            np.testing.assert_array_equal(tensor.numpy(), array)
        np.testing.assert_array_equal(
            tensors[4]["final_observation"].numpy(), info["final_observation"]
        )
        ended += int(tensors[3].sum())
    assert ended == 2 * 8


def test_what_cannot_be_stepped_is_refused(envs):
    with pytest.raises(RuntimeError, match="call reset before"):
        envs.step(torch.zeros(8, 2))
    envs.reset()
    with pytest.raises(ValueError, match=r"shape \(8, 3\), not \(8, 2\)"):
        envs.step(torch.zeros(8, 3))
