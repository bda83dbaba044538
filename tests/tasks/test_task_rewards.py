"""`tolerance` beside dm_control's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_control.utils import rewards

from metaenvs.tasks.dm_control.rewards import tolerance

GRID = np.linspace(-3.0, 3.0, 1201)


@pytest.mark.parametrize("sigmoid", ["gaussian", "quadratic"])
@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("bounds", [(0.0, 0.0), (-0.5, 1.0), (0.25, np.inf)])
@pytest.mark.parametrize("value_at_margin", [0.1, 0.4])
def test_tolerance_is_dm_controls(sigmoid, margin, bounds, value_at_margin):
    expected = rewards.tolerance(GRID, bounds, margin, sigmoid, value_at_margin)
    ours = tolerance(jnp.asarray(GRID), bounds, margin, sigmoid, value_at_margin)
    np.testing.assert_allclose(ours, expected, atol=2e-6)
    traced = jax.jit(lambda m: tolerance(GRID, bounds, m, sigmoid, value_at_margin))(margin)
    np.testing.assert_allclose(traced, expected, atol=2e-6)


def test_quadratic_may_be_zero_at_the_margin():
    expected = rewards.tolerance(GRID, margin=1, value_at_margin=0, sigmoid="quadratic")
    ours = tolerance(jnp.asarray(GRID), margin=1.0, value_at_margin=0.0, sigmoid="quadratic")
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_unknown_sigmoid_is_named():
    with pytest.raises(ValueError, match="'cubic'"):
        tolerance(jnp.zeros(()), margin=1.0, sigmoid="cubic")
