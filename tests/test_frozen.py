"""Frozen ids do today what they did when they were frozen."""

import frozen_traces
import numpy as np
import pytest

FROZEN = sorted(path.stem for path in frozen_traces.FOLDER.glob("*.npz"))

# Exact, or bound to be equal up to rounding, or after some dozens of steps.
EXACT = ("names", "task_id", "episode_length", "next_task_id")
STEPPED = ("observation", "reward")


def test_something_is_frozen():
    assert "RandomProjection-v0" in FROZEN


@pytest.mark.parametrize("env_id", FROZEN)
def test_behaviour_is_what_was_frozen(env_id):
    """If this fails, the change belongs under a new id (CONTRIBUTING.md)."""
    now = frozen_traces.traces(env_id)
    with np.load(frozen_traces.path(env_id)) as then:
        assert set(now) == set(then)
        for name in then:
            if name.split()[-1] in EXACT:
                np.testing.assert_array_equal(now[name], then[name], err_msg=name)
                continue
            tolerance = 2e-3 if name in STEPPED else 1e-5
            np.testing.assert_allclose(
                now[name], then[name], rtol=tolerance, atol=tolerance, err_msg=name
            )


def test_a_frozen_id_is_not_frozen_again():
    with pytest.raises(SystemExit, match=r"RandomProjection-v0 is frozen"):
        frozen_traces.main("RandomProjection-v0")
