"""dm_env's own conformance tests, and what our discounts mean."""

import dm_env
import numpy as np
import pytest
from absl.testing import absltest
from dm_env import specs, test_utils

import metaenvs
from metaenvs.adapters.dm_env import TrialEnvironment

TRIAL_LENGTH = 10  # of tiny


@pytest.mark.usefixtures("tiny")
class ConformanceTest(test_utils.EnvironmentTestMixin, absltest.TestCase):
    def make_object_under_test(self):
        return TrialEnvironment("Tiny-v0")

    def make_action_sequence(self):
        for _ in range(2 * TRIAL_LENGTH + 5):
            yield np.full(2, 0.5, np.float32)


def test_a_sequence_is_a_trial(tiny):
    env = TrialEnvironment(tiny, seed=1)
    for _ in range(2):
        assert env.step(np.zeros(2)).first()  # whatever the action, a trial begins
        steps = [env.step(np.full(2, 0.5)) for _ in range(TRIAL_LENGTH)]
        assert [s.last() for s in steps] == [False] * (TRIAL_LENGTH - 1) + [True]
        assert steps[-1].discount == 1.0  # truncated
        assert steps[-1].observation[-1] == 1.0
        assert all(isinstance(s.reward, float) for s in steps)


def test_termination_has_no_discount():
    env = TrialEnvironment("Catch-bsuite")
    timestep = env.reset()
    while not timestep.last():
        timestep = env.step(1)
    assert timestep.discount == 0.0


def test_specs(tiny):
    env = TrialEnvironment(tiny)
    assert env.action_spec() == specs.BoundedArray((2,), np.float32, -1.0, 1.0, name="action")
    env.observation_spec().validate(env.reset().observation)
    assert isinstance(env, dm_env.Environment)


def test_same_seed_same_trials():
    first, again, other = (
        TrialEnvironment("RandomProjection-Lite-v0", seed=s).reset().observation for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_unknown_id_is_named():
    with pytest.raises(ValueError, match="unknown environment id 'RandomProjection-v9'"):
        TrialEnvironment("RandomProjection-v9")
    assert "RandomProjection-v0" in metaenvs.registered_envs
