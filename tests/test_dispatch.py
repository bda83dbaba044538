"""Batching rules against loops, and proof that work is not done where not needed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaenvs.dispatch import only_where


def compute(key, x, shared):
    return {"a": jax.random.normal(key, (3,)) + x * shared["s"], "b": jnp.int32(7)}


def call(predicate, key, x, shared):
    return only_where(predicate, compute, {"a": x, "b": jnp.int32(0)}, key, x, shared)


def inputs(*batch):
    key = jax.random.key(0)
    predicate = jax.random.bernoulli(key, 0.4, batch)
    return predicate, jax.random.split(key, batch), jax.random.normal(key, (*batch, 3))


def reference(predicate, keys, x, shared):
    out = [
        compute(k, v, shared) if p else {"a": v, "b": 0}
        for p, k, v in zip(predicate.ravel(), keys.ravel(), x.reshape(-1, 3), strict=True)
    ]
    return np.stack([o["a"] for o in out]).reshape(x.shape), [int(o["b"]) for o in out]


def test_alone():
    shared = {"s": jnp.asarray(2.0)}
    _, key, x = inputs()
    np.testing.assert_array_equal(call(jnp.asarray(False), key, x, shared)["a"], x)
    expected = compute(key, x, shared)["a"]
    np.testing.assert_allclose(call(jnp.asarray(True), key, x, shared)["a"], expected, rtol=1e-6)


@pytest.mark.parametrize("batch", [(6,), (4, 5), (2, 3, 4)])
def test_vmap_equals_loop(batch):
    shared = {"s": jnp.asarray(2.0)}
    args = inputs(*batch)
    function = call
    for _ in batch:
        function = jax.vmap(function, (0, 0, 0, None))
    out = jax.jit(function)(*args, shared)
    a, b = reference(*args, shared)
    np.testing.assert_allclose(out["a"], a, rtol=1e-6)
    assert out["b"].ravel().tolist() == b


@pytest.mark.parametrize("inner", [(0, 0, 0, None), (0, 0, None, None), (None, 0, 0, None)])
def test_nested_vmap_with_operands_batched_on_one_axis_only(inner):
    shared = {"s": jnp.arange(4.0)}
    predicate, keys, x = inputs(4, 5)
    predicate = predicate if inner[0] == 0 else predicate[:, 0]
    x = x if inner[2] == 0 else x[:, 0]
    out = jax.vmap(jax.vmap(call, inner), (0, 0, 0, {"s": 0}))(predicate, keys, x, shared)
    for i in range(4):
        row = jax.vmap(call, inner)(predicate[i], keys[i], x[i], {"s": shared["s"][i]})
        np.testing.assert_allclose(out["a"][i], row["a"], rtol=1e-6)


def test_scan_inside_vmap_and_vmap_inside_scan():
    shared = {"s": jnp.asarray(0.5)}
    predicate, keys, x = inputs(5, 7)

    def over_time(predicate, keys, x):
        def body(carry, step):
            out = call(step[0], step[1], carry, shared)["a"]
            return out, out

        return jax.lax.scan(body, x[0], (predicate, keys))[1]

    outer = jax.vmap(over_time)(predicate, keys, x)
    single = jnp.stack([over_time(predicate[i], keys[i], x[i]) for i in range(5)])
    np.testing.assert_allclose(outer, single, rtol=1e-6)


@pytest.mark.parametrize("nesting", [1, 2])
def test_nothing_is_computed_where_no_element_needs_it(nesting):
    calls = []

    def expensive(x):
        jax.debug.callback(lambda: calls.append(1))
        return x + 1.0

    def function(predicate, x):
        return only_where(predicate, expensive, x, x)

    x = jnp.zeros((3,) * nesting)
    for _ in range(nesting):
        function = jax.vmap(function)
    function = jax.jit(function)
    jax.block_until_ready(function(x > 0, x))
    jax.effects_barrier()
    assert not calls
    jax.block_until_ready(function(x == 0, x))
    jax.effects_barrier()
    assert calls
