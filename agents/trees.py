"""Leaves of a pytree under names that do not depend on how it is built."""

from typing import Any

import jax


def by_name(tree: Any) -> dict[str, Any]:
    """Leaves by dotted name, in the tree's order; dicts, dataclasses and tuples are alike."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }
