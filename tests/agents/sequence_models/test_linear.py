"""Products with weights: the same numbers as JAX's own, by way of no transposed copy."""

import flax.linen as nn
import jax
import numpy as np

from agents.sequence_models.linear import Dense, matmul


def test_gradients_are_those_of_the_plain_product():
    x = jax.random.normal(jax.random.key(0), (5, 3, 4))
    w = jax.random.normal(jax.random.key(1), (4, 6))
    weights = jax.random.normal(jax.random.key(2), (5, 3, 6))
    got = jax.grad(lambda x, w: (matmul(x, w) ** 2 * weights).sum(), (0, 1))(x, w)
    want = jax.grad(lambda x, w: ((x @ w) ** 2 * weights).sum(), (0, 1))(x, w)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-4)


def test_dense_is_flaxs():
    x = jax.random.normal(jax.random.key(0), (5, 3, 4))
    variables = nn.Dense(6).init(jax.random.key(1), x)
    np.testing.assert_array_equal(Dense(6).apply(variables, x), nn.Dense(6).apply(variables, x))


def test_gradient_copies_no_activations():
    """What `linear` is for; on CPU, JAX's own rule fails this."""

    def transposes(product):
        def loss(w, x):
            return (product(nn.gelu(product(x, w)), w) ** 2).sum()

        x, w = np.zeros((100, 32, 128), np.float32), np.zeros((128, 128), np.float32)
        program = jax.jit(jax.grad(loss)).lower(w, x).compile().as_text()
        return "f32[128,3200]" in program

    assert not transposes(matmul)
