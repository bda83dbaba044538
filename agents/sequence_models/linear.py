"""Matrix products with weights, differentiated so that nothing large is transposed.

JAX forms a weight's gradient as (gᵀ x)ᵀ. On CPU, XLA turns that into a product of xᵀ with a
transposed *copy* of g, all of time and batch: together a third of the cost of a dense layer's
update (128 features, 32,000 elements). Written as xᵀ g it needs no copy.
"""

from functools import partial

import flax.linen as nn
import jax


@jax.custom_vjp
def matmul(x: jax.Array, w: jax.Array) -> jax.Array:
    """x [..., m] @ w [m, n] -> [..., n]."""
    return x @ w


def _forward(x, w):
    return x @ w, (x, w)


def _backward(saved, y_bar):
    x, w = saved
    rows, rows_bar = (v.reshape(-1, v.shape[-1]) for v in (x, y_bar))
    return (rows_bar @ w.T).reshape(x.shape), rows.T @ rows_bar


matmul.defvjp(_forward, _backward)


def _dot_general(x, w, dimension_numbers, **_):
    return matmul(x, w)


Dense = partial(nn.Dense, dot_general=_dot_general)
"""`flax.linen.Dense` by `matmul`."""
