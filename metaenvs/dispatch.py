"""How per-environment choices are batched: rules that `jax.vmap` applies by itself.

Under `jax.vmap` a `lax.cond` becomes a select: both sides are computed for every
environment at every step. The function here carries its own batching rule
(`jax.custom_batching.custom_vmap`), so that a plain `jax.vmap(env.step)` does not pay
for resets that no environment needs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def only_where(
    predicate: jax.Array, compute: Callable[..., Any], otherwise: Any, *operands: Any
) -> Any:
    """`compute(*operands)` where `predicate`, else `otherwise`.

    Batched by `jax.vmap` (nested too), `compute` runs if the predicate holds anywhere
    in the batch, and not at all if it holds nowhere. `compute` must not close over
    traced values: pass them as `operands`.
    """
    leaves, treedef = jax.tree.flatten(operands)

    def compute_flat(*leaves):
        return compute(*jax.tree.unflatten(treedef, leaves))

    @custom_vmap
    def single(predicate, otherwise, leaves):
        return jax.lax.cond(
            predicate, lambda _, x: compute_flat(*x), lambda x, _: x, otherwise, leaves
        )

    @single.def_vmap
    def _(axis_size, in_batched, predicate, otherwise, leaves):
        shared = [not batched for batched in in_batched[2]]
        inputs = [predicate, otherwise, leaves]
        predicate, otherwise, _ = _repeat_unbatched(axis_size, in_batched, inputs)
        out = _batched(compute_flat, shared)(predicate, otherwise, leaves)
        return out, jax.tree.map(lambda _: True, out)

    return single(predicate, otherwise, leaves)


def _batched(compute: Callable[..., Any], shared: list[bool]) -> Callable[..., Any]:
    """The rule for one batch axis; a further `vmap` is merged into that axis.

    `shared[i]` says that operand i has no batch axis.
    """
    in_axes = [None if s else 0 for s in shared]

    @custom_vmap
    def batch(predicate, otherwise, leaves):
        def somewhere(otherwise, leaves):
            fresh = jax.vmap(compute, in_axes, axis_size=predicate.shape[0])(*leaves)
            return jax.tree.map(lambda x, y: _where(predicate, x, y), fresh, otherwise)

        return jax.lax.cond(jnp.any(predicate), somewhere, lambda x, _: x, otherwise, leaves)

    @batch.def_vmap
    def _(axis_size, in_batched, predicate, otherwise, leaves):
        inner = (predicate.shape[1] if in_batched[0] else predicate.shape[0],)
        still_shared = [s and not b for s, b in zip(shared, in_batched[2], strict=True)]
        inputs = [predicate, otherwise, leaves]
        predicate, otherwise, repeated = _repeat_unbatched(axis_size, in_batched, inputs)

        def with_inner_axis(x, had_no_inner_axis):
            shape = (axis_size, *inner, *x.shape[1:])
            return jnp.broadcast_to(x[:, None], shape) if had_no_inner_axis else x

        def merge(x):
            return x.reshape(-1, *x.shape[2:])

        merged = [
            original if keep else merge(with_inner_axis(x, s))
            for original, x, keep, s in zip(leaves, repeated, still_shared, shared, strict=True)
        ]
        out = _batched(compute, still_shared)(
            merge(predicate), jax.tree.map(merge, otherwise), merged
        )
        out = jax.tree.map(lambda x: x.reshape(axis_size, *inner, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    return batch


def _where(predicate: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.where(predicate.reshape(-1, *(1,) * (x.ndim - 1)), x, y)


def _repeat_unbatched(axis_size: int, in_batched: Any, tree: Any) -> Any:
    def repeat(x, batched):
        return x if batched else jnp.broadcast_to(x, (axis_size, *jnp.shape(x)))

    return jax.tree.map(repeat, tree, in_batched)
