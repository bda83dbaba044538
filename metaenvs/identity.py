"""When two environments are one: when they do the same with the same arguments."""

from collections.abc import Hashable, Mapping
from typing import Any

import jax
import numpy as np
from gymnax.environments import environment


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal: arrays by type and content, collections by what they hold.

    Environments without an equality of their own are the same if their attributes are.
    """
    if a is b:
        return True
    if isinstance(a, jax.core.Tracer) or isinstance(b, jax.core.Tracer):
        return False  # nothing is known of their content
    if _is_array(a) or _is_array(b):
        return _is_array(a) and _is_array(b) and _content(a) == _content(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, environment.Environment) and type(a).__eq__ is object.__eq__:
        return same(vars(a), vars(b))
    if not jax.tree_util.all_leaves([a]):
        leaves, structure = _flat(a)
        others, other_structure = _flat(b)
        return structure == other_structure and same(leaves, others)
    return bool(a == b)


def content(tree: Any) -> Hashable:
    """Something that two pytrees have in common if and only if they are the same.

    Raises:
        TypeError: if a leaf is traced.
    """
    leaves, structure = jax.tree.flatten(tree)
    for leaf in leaves:
        if isinstance(leaf, jax.core.Tracer):
            raise TypeError(f"{type(tree).__name__} is traced here: it has no hash")
    return structure, *(_content(x) if _is_array(x) else (type(x), x) for x in leaves)


class Code:
    """An environment's code as a static argument of `jax.jit`: `code.env` runs it.

    Environments of equal `key` are one argument and share compiled programs, whatever
    they differ in besides: their default params are to be resolved before.
    """

    def __init__(self, env: Any, key: Hashable):
        self.env = env
        self._key = key

    def __eq__(self, other):
        return isinstance(other, Code) and self._key == other._key

    def __hash__(self):
        return hash(self._key)


def code_of(env: Any) -> Code:
    """The code of any environment; its own if it does not know a smaller part of it."""
    own = getattr(env, "code", None)
    return own if isinstance(own, Code) else Code(env, env)


class ByContent:
    """Makes params equal, and a static argument of `jax.jit`, by what their leaves hold.

    For subclasses of `flax.struct.PyTreeNode` that are made with `eq=False`.
    """

    def __eq__(self, other):
        return type(self) is type(other) and same(self, other)

    def __hash__(self):
        return hash(content(self))


def _flat(tree: Any) -> tuple[list[Any], Any]:
    return jax.tree.flatten(tree)


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray | np.generic)


def _content(x: Any) -> Hashable:
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return str(x.dtype), x.shape, np.asarray(jax.random.key_data(x)).tobytes()
    array = np.asarray(x)
    return str(array.dtype), array.shape, array.tobytes()
