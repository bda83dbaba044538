"""States of different tasks in vectors of one common width.

Branches of a switch must return one type. Packed states have one whatever the task,
and move through gathers, scatters and selects as two arrays instead of many.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


class Packed(struct.PyTreeNode):
    """A pytree's floats `[n_floats]` and integers `[n_ints]`, zero-padded."""

    floats: jax.Array
    ints: jax.Array


def _is_key(dtype) -> bool:
    return jnp.issubdtype(dtype, jax.dtypes.prng_key)


class Packing:
    """Packs pytrees that look like `example` (arrays or `jax.ShapeDtypeStruct`s).

    float32 leaves go to `floats`; int32, bool, uint32 and typed PRNG keys go to `ints`.

    Raises:
        TypeError: for a leaf of another type, naming it.
    """

    def __init__(self, example: Any):
        paths, self._treedef = jax.tree_util.tree_flatten_with_path(example)
        self._leaves = [jax.ShapeDtypeStruct(jnp.shape(x), x.dtype) for _, x in paths]
        for (path, _), leaf in zip(paths, self._leaves, strict=True):
            if not _is_key(leaf.dtype) and leaf.dtype.name not in {"float32", *_TO_INTS}:
                raise TypeError(
                    f"cannot pack leaf {jax.tree_util.keystr(path)!r} of type {leaf.dtype}; "
                    "valid: float32, int32, uint32, bool, PRNG keys"
                )
        self.n_floats = sum(self._width(x) for x in self._leaves if self._is_float(x))
        self.n_ints = sum(self._width(x) for x in self._leaves if not self._is_float(x))

    @staticmethod
    def _is_float(leaf) -> bool:
        return leaf.dtype == jnp.float32

    @staticmethod
    def _width(leaf) -> int:
        if _is_key(leaf.dtype):
            leaf = jax.eval_shape(jax.random.key_data, leaf)
        return math.prod(leaf.shape)

    def pack(self, tree: Any, n_floats: int, n_ints: int) -> Packed:
        """The leaves of `tree` one after the other, padded to the widths given."""
        floats, ints = [], []
        for leaf, x in zip(self._leaves, jax.tree.leaves(tree), strict=True):
            if self._is_float(leaf):
                floats.append(jnp.ravel(x))
            elif _is_key(leaf.dtype):
                ints.append(_TO_INTS["uint32"](jnp.ravel(jax.random.key_data(x))))
            else:
                ints.append(_TO_INTS[leaf.dtype.name](jnp.ravel(x)))
        return Packed(
            _join(floats, n_floats, jnp.float32),
            _join(ints, n_ints, jnp.int32),
        )

    def unpack(self, packed: Packed) -> Any:
        """The pytree that was packed."""
        i_float = i_int = 0
        leaves = []
        for leaf in self._leaves:
            width = self._width(leaf)
            if self._is_float(leaf):
                leaves.append(packed.floats[i_float : i_float + width].reshape(leaf.shape))
                i_float += width
                continue
            part = packed.ints[i_int : i_int + width]
            i_int += width
            if _is_key(leaf.dtype):
                data = jax.eval_shape(jax.random.key_data, leaf)
                bits = jax.lax.bitcast_convert_type(part, jnp.uint32).reshape(data.shape)
                leaves.append(jax.random.wrap_key_data(bits, impl=_key_impl(leaf)))
            elif leaf.dtype == jnp.uint32:
                bits = jax.lax.bitcast_convert_type(part, jnp.uint32)
                leaves.append(bits.reshape(leaf.shape))
            else:
                leaves.append(part.astype(leaf.dtype).reshape(leaf.shape))
        return jax.tree.unflatten(self._treedef, leaves)


def _key_impl(leaf: jax.ShapeDtypeStruct) -> Any:
    """The generator of a typed key, which is known of an array only, not of its shape."""
    found: list[Any] = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), leaf)
    return found[0]


def _join(parts: list[jax.Array], width: int, dtype) -> jax.Array:
    parts = [*parts, jnp.zeros(width - sum(p.size for p in parts), dtype)]
    return jnp.concatenate([p.astype(dtype) for p in parts])


_TO_INTS = {
    "int32": lambda x: x,
    "bool": lambda x: x.astype(jnp.int32),
    "uint32": lambda x: jax.lax.bitcast_convert_type(x, jnp.int32),
}
