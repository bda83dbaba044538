"""Somebody else's agent, in plain JAX, through the public API alone."""

import jax.numpy as jnp
import numpy as np
import pytest

import metaenvs
from metaenvs import evaluation


# Ten lines, as docs/evaluation.md promises.
class Swing:
    def init_carry(self, n):
        return jnp.zeros(n)

    def act(self, carry, obs, reset, key):
        carry = jnp.where(reset, 0.0, carry) + 1.0  # emptied before obs is read
        return carry, jnp.stack([jnp.sin(carry / 20.0)] * 2, axis=-1)


def evaluate_swing(protocol="rp-v0-eval1"):
    return evaluation.evaluate(Swing(), "RandomProjection-Lite-v0", protocol)


def test_it_is_evaluated_and_its_result_is_valid(tmp_path):
    small = evaluation.Protocol(
        "test", (evaluation.Condition("fresh"),), trials_per_task=2, episodes=1
    )
    result = evaluate_swing(small)
    evaluation.save(result, tmp_path / "evaluation.json")
    assert evaluation.load(tmp_path / "evaluation.json")["suite"] == "RandomProjection-Lite-v0"
    swung = evaluation.find(result, "train/fresh", "agent")["tasks"]["cartpole_swingup"]
    assert swung["return"]["value"] > 1.0


class Push:
    """Pushes by weights that it holds in one of the many ways in which they may change."""

    shared = jnp.array([1.0, 0.3])

    def __init__(self):
        self.weights = jnp.array([1.0, 0.3])
        self.inner = {"layers": [np.array([1.0, 0.3], np.float32)]}
        self.read = lambda: self.weights

    def init_carry(self, n):
        return jnp.zeros(n)

    def act(self, carry, obs, reset, key):
        return carry, jnp.tile(self.read(), (obs.shape[0], 1))


def _assigned(policy, value):
    policy.weights = value


def _in_place(policy, value):
    policy.read = lambda: policy.inner["layers"][0]
    policy.inner["layers"][0][:] = value


def _of_the_class(policy, value):
    policy.read = lambda: type(policy).shared
    type(policy).shared = value


@pytest.mark.parametrize("change", [_assigned, _in_place, _of_the_class])
def test_a_policy_that_changes_is_measured_as_it_is(change):
    env = metaenvs.RandomProjection(["point_mass_easy"])

    def rewards(policy):
        params = env.default_params
        short = tuple(x.replace(max_steps_in_episode=jnp.asarray([60])) for x in params.task_params)
        return evaluation.run_trials(
            policy,
            env,
            env.task_names,
            trials_per_task=2,
            seed=0,
            params=params.replace(task_params=short),
        ).rewards

    policy = Push()
    change(policy, np.array([1.0, 0.3], np.float32))
    before = rewards(policy)
    change(policy, np.zeros(2, np.float32))
    after, fresh = rewards(policy), Push()
    change(fresh, np.zeros(2, np.float32))
    np.testing.assert_array_equal(after, rewards(fresh))
    assert not np.array_equal(before, after)
