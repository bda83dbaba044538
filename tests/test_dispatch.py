"""Batching rules against loops, and proof that work is not done where not needed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaenvs.dispatch import default_block, only_where, share_block, switch, update_where


def compute(value, key, x, shared):
    return {"a": jax.random.normal(key, (3,)) + x * shared["s"], "b": value["b"] + 7}


def call(predicate, key, x, shared):
    return update_where(predicate, compute, {"a": x, "b": jnp.int32(0)}, key, x, shared)


def inputs(*batch):
    key = jax.random.key(0)
    predicate = jax.random.bernoulli(key, 0.4, batch)
    return predicate, jax.random.split(key, batch), jax.random.normal(key, (*batch, 3))


def reference(predicate, keys, x, shared):
    out = [
        compute({"a": v, "b": 0}, k, v, shared) if p else {"a": v, "b": 0}
        for p, k, v in zip(predicate.ravel(), keys.ravel(), x.reshape(-1, 3), strict=True)
    ]
    return np.stack([o["a"] for o in out]).reshape(x.shape), [int(o["b"]) for o in out]


def test_alone():
    shared = {"s": jnp.asarray(2.0)}
    _, key, x = inputs()
    np.testing.assert_array_equal(call(jnp.asarray(False), key, x, shared)["a"], x)
    expected = compute({"b": 0}, key, x, shared)["a"]
    np.testing.assert_allclose(
        call(jnp.asarray(True), key, x, shared)["a"], expected, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("batch", [(6,), (4, 5), (2, 3, 4)])
def test_vmap_equals_loop(batch):
    shared = {"s": jnp.asarray(2.0)}
    args = inputs(*batch)
    function = call
    for _ in batch:
        function = jax.vmap(function, (0, 0, 0, None))
    out = jax.jit(function)(*args, shared)
    a, b = reference(*args, shared)
    np.testing.assert_allclose(out["a"], a, rtol=1e-6, atol=1e-6)
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
        np.testing.assert_allclose(out["a"][i], row["a"], rtol=1e-6, atol=1e-6)


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
    np.testing.assert_allclose(outer, single, rtol=1e-6, atol=1e-6)


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


BRANCHES = [
    lambda key, x, shared: {"y": x * shared["s"], "n": jnp.int32(0)},
    lambda key, x, shared: {"y": x + jax.random.normal(key, (3,)), "n": jnp.int32(1)},
    lambda key, x, shared: {"y": jnp.sin(x), "n": jnp.int32(2)},
    lambda key, x, shared: {"y": jnp.log(-jnp.abs(x)), "n": jnp.int32(3)},  # NaN
]


def choose(index, key, x, shared, block=4):
    return switch(index, BRANCHES, key, x, shared, block=lambda size: block)


@pytest.mark.parametrize("block", [1, 4, 100])
@pytest.mark.parametrize("batch", [(37,), (2, 3, 5)])
@pytest.mark.parametrize("n_used", [1, 3, 4])
def test_switch_equals_loop(batch, block, n_used):
    shared = {"s": jnp.asarray(2.0)}
    _, keys, x = inputs(*batch)
    index = jax.random.randint(jax.random.key(1), batch, 0, n_used)

    def function(index, key, x):
        return choose(index, key, x, shared, block)

    for _ in batch:
        function = jax.vmap(function)
    out = jax.jit(function)(index, keys, x)
    flat = zip(index.ravel(), keys.ravel(), x.reshape(-1, 3), strict=True)
    expected = [BRANCHES[int(i)](k, v, shared) for i, k, v in flat]
    got = np.asarray(out["y"]).reshape(-1, 3)
    np.testing.assert_allclose(got, np.stack([e["y"] for e in expected]), rtol=1e-6, atol=1e-6)
    assert out["n"].ravel().tolist() == [int(e["n"]) for e in expected]


def test_switch_with_an_index_for_the_whole_batch():
    shared = {"s": jnp.asarray(2.0)}
    _, keys, x = inputs(6)
    out = jax.vmap(choose, (None, 0, 0, None))(jnp.asarray(2), keys, x, shared)
    np.testing.assert_allclose(out["y"], jnp.sin(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(choose(jnp.asarray(2), keys[0], x[0], shared)["y"], jnp.sin(x[0]))


def test_switch_runs_each_branch_on_as_many_blocks_as_it_needs():
    calls = []

    def branch(i):
        def run(x):
            jax.debug.callback(lambda: calls.append(i))
            return x + i

        return run

    def function(index, x):
        return switch(index, [branch(i) for i in range(3)], x, block=lambda size: 4)

    index = jnp.array([2] * 5 + [0] * 3)
    jax.block_until_ready(jax.jit(jax.vmap(function))(index, jnp.zeros(8)))
    jax.effects_barrier()
    # One block of four for three rows, two for five, none for branch 1.
    assert sorted(calls) == [0, 2, 2]


def test_switch_in_a_scan_under_vmap():
    shared = {"s": jnp.asarray(0.5)}
    _, keys, x = inputs(6, 8)
    index = jax.random.randint(jax.random.key(1), (6, 8), 0, 3)

    def over_time(index, keys, x):
        def body(carry, step):
            out = choose(*step, carry, shared)["y"]
            return out, out

        return jax.lax.scan(body, x[0], (index, keys))[1]

    together = jax.jit(jax.vmap(over_time))(index, keys, x)
    alone = jnp.stack([over_time(index[i], keys[i], x[i]) for i in range(6)])
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)


def test_switch_needs_branches():
    with pytest.raises(ValueError, match="at least one branch"):
        switch(jnp.asarray(0), [])


@pytest.mark.parametrize("size", [127, 128])
def test_small_batches_fall_back_to_the_plain_switch(size):
    calls = []

    def branch(i):
        def run(x):
            jax.debug.callback(lambda: calls.append(i))
            return x + i

        return run

    index = jnp.zeros(size, jnp.int32)
    function = jax.vmap(lambda i, x: switch(i, [branch(0), branch(1)], x))
    jax.block_until_ready(jax.jit(function)(index, jnp.zeros(size)))
    jax.effects_barrier()
    # Plain: both branches run. In blocks: only the one that is chosen.
    assert set(calls) == ({0, 1} if size < 128 else {0})


@pytest.mark.parametrize("size", [1, 127, 128, 1000, 1024, 16_384])
def test_block_sizes(size):
    block = default_block(size)
    assert 1 <= block <= size
    assert block == size if size < 128 else 32 <= block <= size // 2


@pytest.mark.parametrize("size", [1, 127, 128, 1000, 1024, 16_384])
@pytest.mark.parametrize("share", [0.0, 1 / 6, 1.0])
def test_a_likely_share_fits_in_whole_blocks(size, share):
    block = share_block(size, share)
    assert 1 <= block <= size
    if size >= 128:
        assert 32 <= block <= 512 or block == size
        # At a usual count, fewer than a third of the rows computed are for nothing.
        rows = max(size * share, 32)
        assert -(-rows // block) * block < 4 / 3 * rows


@pytest.mark.parametrize("shares", [None, (0.1, 0.2, 0.7, 0.0), (1.0, 0.0, 0.0, 0.0)])
def test_blocks_of_any_size_equal_a_loop(shares):
    shared = {"s": jnp.asarray(2.0)}
    _, keys, x = inputs(300)
    index = jax.random.randint(jax.random.key(1), (300,), 0, 3)

    def function(index, key, x):
        return switch(index, BRANCHES, key, x, shared, shares=shares)

    out = jax.jit(jax.vmap(function))(index, keys, x)
    rows = zip(index, keys, x, strict=True)
    expected = jnp.stack([BRANCHES[int(i)](k, v, shared)["y"] for i, k, v in rows])
    np.testing.assert_allclose(out["y"], expected, rtol=1e-6, atol=1e-6)


def test_update_where_reads_the_value_that_it_replaces():
    x = jnp.arange(600.0).reshape(300, 2)
    where = jnp.arange(300) % 7 == 0

    def function(where, x, y):
        return update_where(where, lambda x, y: 10.0 * x + y, x, y)

    out = jax.jit(jax.vmap(function))(where, x, x[:, 0])
    expected = np.where(where[:, None], 10.0 * x + x[:, :1], x)
    np.testing.assert_array_equal(out, expected)


def test_in_shard_map_inside_jit_and_scan():
    shared = {"s": jnp.asarray(0.5)}
    predicate, keys, x = inputs(12)
    index = jax.random.randint(jax.random.key(1), (12,), 0, 3)
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("rows",))
    rows = jax.sharding.PartitionSpec("rows")

    def steps(index, predicate, keys, x):
        def step(x, _):
            x = jax.vmap(choose, (0, 0, 0, None))(index, keys, x, shared)["y"]
            x = jax.vmap(call, (0, 0, 0, None))(predicate, keys, x, shared)["a"]
            return x, None

        return jax.lax.scan(step, x, length=3)[0]

    sharded = jax.shard_map(steps, mesh=mesh, in_specs=(rows,) * 4, out_specs=rows, check_vma=False)
    got = jax.jit(sharded)(index, predicate, keys, x)
    np.testing.assert_allclose(got, steps(index, predicate, keys, x), rtol=1e-6, atol=1e-6)


def test_what_is_updated_is_a_constant_to_derivatives():
    """In reverse and forward mode, alone and in a batch; integers go along."""

    def start(value, x):
        return value[0] * x, value[1] + 1

    def total(value, x, predicates):
        def one(predicate, value, x):
            moved, count = update_where(predicate, start, (value, 3), x)
            return moved * count

        return jax.vmap(one)(predicates, value, x).sum()

    value, x = jnp.array([2.0, 3.0, 5.0]), jnp.array([7.0, 11.0, 13.0])
    predicates = jnp.array([True, False, False])
    expected = [0.0, 3.0, 3.0], [0.0, 0.0, 0.0]
    for grad in (jax.grad, jax.jacfwd):
        found = jax.jit(grad(total, argnums=(0, 1)))(value, x, predicates)
        np.testing.assert_array_equal(found, expected)
        found = grad(total, argnums=(0, 1))(value[:1], x[:1], predicates[:1])
        np.testing.assert_array_equal(found, [expected[0][:1], expected[1][:1]])


@pytest.mark.parametrize("size", [None, 4, 300])  # of a batch that is sorted, too
def test_derivatives_of_a_switch_are_the_chosen_branchs(size):
    branches = [lambda x, y: x * y, lambda x, y: jnp.sin(x), lambda x, y: y**2]

    def chosen(switch):
        def one(index, x, y):
            return switch(index, branches, x, y)

        def total(x, y, index):
            return (one if size is None else jax.vmap(one))(index, x, y).sum()

        return jax.jit(jax.grad(total, argnums=(0, 1)))

    keys = jax.random.split(jax.random.key(0), 3)
    shape = () if size is None else (size,)
    x, y = (jax.random.normal(key, shape) for key in keys[:2])
    index = jax.random.randint(keys[2], shape, 0, 3)
    found = chosen(switch)(x, y, index)
    np.testing.assert_allclose(found, chosen(jax.lax.switch)(x, y, index), rtol=1e-6)
