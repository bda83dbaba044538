"""dm_control's `tolerance` (dm_control/utils/rewards.py), the brick of its rewards."""

import math

import jax
import jax.numpy as jnp


def _sigmoid(x: jax.Array, value_at_margin: float, sigmoid: str) -> jax.Array:
    if sigmoid == "gaussian":
        return jnp.exp(math.log(value_at_margin) * x * x)
    if sigmoid == "quadratic":
        return jnp.maximum(1.0 - (1.0 - value_at_margin) * x * x, 0.0)
    raise ValueError(f"unknown sigmoid {sigmoid!r}; expected 'gaussian' or 'quadratic'")


def tolerance(
    x: jax.Array,
    bounds: tuple[float | jax.Array, float | jax.Array] = (0.0, 0.0),
    margin: float | jax.Array = 0.0,
    sigmoid: str = "gaussian",
    value_at_margin: float = 0.1,
) -> jax.Array:
    """1 where `x` is within `bounds` (both included), falling towards 0 outside.

    The value is `value_at_margin` at a distance of `margin` from the nearest bound;
    with a margin of 0 it is 0 everywhere outside. `bounds` and `margin` may be traced;
    `sigmoid` is "gaussian" or "quadratic". Elementwise; the result is in [0, 1].
    """
    x = jnp.asarray(x)
    lower, upper = bounds
    distance = jnp.maximum(jnp.maximum(lower - x, x - upper), 0.0)
    inside = distance <= 0.0
    if isinstance(margin, int | float) and margin == 0.0:
        return inside.astype(x.dtype)
    positive = margin > 0.0
    value = _sigmoid(distance / jnp.where(positive, margin, 1.0), value_at_margin, sigmoid)
    return jnp.where(inside, 1.0, jnp.where(positive, value, 0.0))
