"""How per-environment choices are batched: rules that `jax.vmap` applies by itself.

Under `jax.vmap` a `lax.cond` or `lax.switch` becomes a select: every side is computed
for every environment. The functions here carry batching rules of their own
(`jax.custom_batching.custom_vmap`), so that a plain `jax.vmap(env.step)` pays neither for
resets that no environment needs nor for the physics of other environments' tasks.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def update_where(
    predicate: jax.Array,
    update: Callable[..., Any],
    value: Any,
    *operands: Any,
    block: Callable[[int], int] | None = None,
) -> Any:
    """`update(value, *operands)` where `predicate`, else `value`.

    Batched by `jax.vmap` (nested too), the rows for which the predicate holds are taken
    out, a block at a time, and written back updated: the cost is that of the rows that
    need it, and next to nothing where none does. `block(size)` gives the rows of a block.
    `update` must not close over traced values: pass them as `operands`.

    Differentiated, what `update` returns is a constant: the derivative is that of `value`
    where nothing is updated, and zero elsewhere.
    """
    leaves, tree = jax.tree.flatten(value)
    rest, rest_tree = jax.tree.flatten(operands)
    n = len(leaves)

    def update_flat(*flat):
        value, operands = jax.tree.unflatten(tree, flat[:n]), flat[n:]
        return jax.tree.leaves(update(value, *jax.tree.unflatten(rest_tree, operands)))

    def single(predicate, *flat):
        return jax.lax.cond(predicate, update_flat, lambda *flat: list(flat[:n]), *flat)

    def many(size, shared, predicate, *flat):
        pending, *full = (
            jnp.broadcast_to(x, (size, *jnp.shape(x))) if s else x
            for x, s in zip((predicate, *flat[:n]), shared, strict=False)
        )
        axes = [0] * n + _axes(shared[1 + n :])
        rows = (block or default_block)(size)
        batched = jax.vmap(update_flat, axes, axis_size=rows)

        def one_block(loop):
            pending, value = loop
            # The first rows that are pending, then `size`, which stands for no row.
            chosen = jnp.sort(jnp.where(pending, jnp.arange(size), size))[:rows]
            taken = [
                x if a is None else x.at[chosen].get(mode="clip")
                for x, a in zip((*value, *flat[n:]), axes, strict=True)
            ]
            value = [
                x.at[chosen].set(new, mode="drop")
                for x, new in zip(value, batched(*taken), strict=True)
            ]
            return pending.at[chosen].set(False, mode="drop"), value

        # A loop of no rounds leaves `value` in its place, where a `cond` would copy it.
        return jax.lax.while_loop(lambda loop: jnp.any(loop[0]), one_block, (pending, full))[1]

    @jax.custom_jvp
    def updated(predicate, *leaves):
        return _with_batch_rule(single, many)(predicate, *leaves)

    @updated.defjvp
    def _(primals, tangents):
        return updated(*primals), [_where(~primals[0], x) for x in tangents[1 : 1 + n]]

    return jax.tree.unflatten(tree, updated(predicate, *leaves, *rest))


def only_where(
    predicate: jax.Array, compute: Callable[..., Any], otherwise: Any, *operands: Any
) -> Any:
    """`compute(*operands)` where `predicate`, else `otherwise`: see `update_where`."""
    return update_where(predicate, lambda _, *rest: compute(*rest), otherwise, *operands)


def switch(
    index: jax.Array,
    branches: Sequence[Callable[..., Any]],
    *operands: Any,
    block: Callable[[int], int] | None = None,
    shares: Sequence[float] | None = None,
) -> Any:
    """`branches[index](*operands)`, as `lax.switch`, at the cost of the branches chosen.

    Batched by `jax.vmap` (nested too), rows are sorted by their index and every branch
    runs on blocks of its own rows, as many as it has: the cost of a batch is the sum of
    what its rows cost. A branch's last block runs over into the next branch's rows,
    which that branch then overwrites. `shares` says which part of a batch's rows each
    branch is likely to get (default: the same), from which the rows of its blocks are
    chosen, or `block(size)` gives them for all branches; neither changes what is computed.
    Where a block is the whole batch, all branches run on all rows and one is selected, as
    `jax.vmap` does by itself. Branches must not close over traced values: pass them as
    `operands`.

    Derivatives are those of the branch chosen, and cost what all branches do.

    Raises:
        ValueError: without branches.
    """
    if not branches:
        raise ValueError("switch needs at least one branch")
    leaves, tree = jax.tree.flatten(operands)

    def flat(branch):
        return lambda *leaves: branch(*jax.tree.unflatten(tree, leaves))

    flat_branches = [flat(branch) for branch in branches]

    def single(index, *leaves):
        return jax.lax.switch(index, flat_branches, *leaves)

    def many(size, shared, index, *leaves):
        axes = _axes(shared[1:])
        batched = [jax.vmap(b, axes, axis_size=size) for b in flat_branches]
        if shared[0]:
            return jax.lax.switch(index, batched, *leaves)
        if len(branches) == 1:
            return batched[0](*leaves)
        expected = shares or [1.0 / len(branches)] * len(branches)
        sizes = [block(size) if block else share_block(size, share) for share in expected]
        if min(sizes) >= size:
            return jax.vmap(single, (0, *axes), axis_size=size)(index, *leaves)
        return _in_blocks(index, flat_branches, leaves, axes, size, sizes)

    @jax.custom_jvp
    def chosen(index, *leaves):
        return _with_batch_rule(single, many)(index, *leaves)

    @chosen.defjvp
    def _(primals, tangents):
        index = jnp.clip(primals[0], 0, len(branches) - 1)

        def of_branch(i, branch):
            # What others are given, of a branch that makes no sense of it, must not spread:
            # zero times infinity is no number.
            mine = tuple(_where(index == i, x) for x in tangents[1:])
            tangent = jax.jvp(branch, primals[1:], mine)[1]
            return jax.tree.map(lambda x: _where(index == i, x), tangent)

        each = [of_branch(i, branch) for i, branch in enumerate(flat_branches)]
        return chosen(*primals), jax.tree.map(lambda *parts: functools.reduce(_plus, parts), *each)

    return chosen(index, *leaves)


def default_block(size: int) -> int:
    """Rows of a block: about twice the root of the batch; the whole of a small one.

    A block costs a start and its rows, and the last block of each branch is half empty on
    average, so the best size grows with the root of the batch. On a CPU a start costs
    about as much as 20 rows of ball_in_cup. Below 128 rows sorting costs more than it
    saves.
    """
    if size < 128:
        return size
    least = 32 if jax.default_backend() == "cpu" else 1024
    return min(size, max(least, 2 * 2 ** round(math.log2(size) / 2)))


def share_block(size: int, share: float) -> int:
    """Rows of a block of a branch that is likely to get a `share` of `size` rows.

    As many as make the expected number of rows, and a margin of one and a half standard
    deviations, a whole number of blocks of about 256 rows on a CPU, where larger ones
    leave the cache and smaller ones start more often. See `default_block` for the rest.
    """
    if size < 128:
        return size
    least, usual = (32, 256) if jax.default_backend() == "cpu" else (1024, 4096)
    expected = size * share
    likely = expected + 1.5 * math.sqrt(expected * (1.0 - share))
    rows = likely / max(1, round(expected / usual))
    return min(size, max(least, 8 * math.ceil(rows / 8)))


def _in_blocks(index, branches, leaves, axes, size: int, sizes: Sequence[int]):
    member = index[:, None] == jnp.arange(len(branches))
    count = jnp.sum(member, axis=0, dtype=jnp.int32)
    start = jnp.cumsum(count) - count
    # One array of unequal numbers sorts several times as fast as an array with its indices.
    row = jnp.arange(size, dtype=jnp.int32)
    order = jnp.sort(index.astype(jnp.int32) * size + row) % size
    inverse = jnp.zeros(size, jnp.int32).at[order].set(row)
    # The last block may run over the end: so many rows more, of any row's values.
    more = max(sizes)
    padded = jnp.concatenate([order, jnp.broadcast_to(order[-1], (more,))])
    ordered = [x if a is None else x[padded] for x, a in zip(leaves, axes, strict=True)]
    batched = [
        jax.vmap(branch, axes, axis_size=rows) for branch, rows in zip(branches, sizes, strict=True)
    ]

    def slice_rows(first, rows):
        return [
            x if a is None else jax.lax.dynamic_slice_in_dim(x, first, rows)
            for x, a in zip(ordered, axes, strict=True)
        ]

    shapes = jax.eval_shape(lambda: batched[0](*slice_rows(0, sizes[0])))
    out = jax.tree.map(lambda x: jnp.zeros((size + more, *x.shape[1:]), x.dtype), shapes)
    for i, (branch, rows) in enumerate(zip(batched, sizes, strict=True)):

        def one_block(k, out, i=i, branch=branch, rows=rows):
            first = start[i] + k * rows
            result = branch(*slice_rows(first, rows))
            return jax.tree.map(
                lambda o, r: jax.lax.dynamic_update_slice_in_dim(o, r, first, 0), out, result
            )

        out = jax.lax.fori_loop(0, (count[i] + rows - 1) // rows, one_block, out)
    return jax.tree.map(lambda x: x[inverse], out)


def _with_batch_rule(single: Callable[..., Any], many: Callable[..., Any]) -> Callable[..., Any]:
    """`single(*leaves)` that `jax.vmap` turns into `many(size, shared, *leaves)`.

    However deep the nesting, `many` sees one batch axis, the first, of `size` rows;
    `shared[i]` says that leaf i has none.
    """

    @custom_vmap
    def alone(*leaves):
        return single(*leaves)

    @alone.def_vmap
    def _(axis_size, in_batched, *leaves):
        out = _batch(many, axis_size, [not batched for batched in in_batched])(*leaves)
        return out, jax.tree.map(lambda _: True, out)

    return alone


def _batch(many, size: int, shared: list[bool]):
    @custom_vmap
    def batch(*leaves):
        return many(size, shared, *leaves)

    @batch.def_vmap
    def _(axis_size, in_batched, *leaves):
        def merge(x, no_inner, outer):
            if no_inner and not outer:
                return x
            if no_inner:
                x = jnp.broadcast_to(x[:, None], (axis_size, size, *x.shape[1:]))
            if not outer:
                x = jnp.broadcast_to(x, (axis_size, *x.shape))
            return x.reshape(axis_size * size, *x.shape[2:])

        merged = [merge(*leaf) for leaf in zip(leaves, shared, in_batched, strict=True)]
        still_shared = [s and not b for s, b in zip(shared, in_batched, strict=True)]
        out = _batch(many, axis_size * size, still_shared)(*merged)
        out = jax.tree.map(lambda x: x.reshape(axis_size, size, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    return batch


def _where(predicate: jax.Array, tangent: Any) -> Any:
    """A tangent where `predicate`, else zero. Integers have none, of type float0."""
    return tangent if tangent.dtype == jax.dtypes.float0 else jnp.where(predicate, tangent, 0.0)


def _plus(tangent: Any, other: Any) -> Any:
    return tangent if tangent.dtype == jax.dtypes.float0 else tangent + other


def _axes(shared: Sequence[bool]) -> list[int | None]:
    return [None if s else 0 for s in shared]
