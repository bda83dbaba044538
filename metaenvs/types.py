"""Types that several parts share."""

import jax

Scalar = jax.Array | float
"""A number that may be traced."""
