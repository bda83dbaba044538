"""The numbers of every environment: 32 bits, however JAX is configured."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

Function = TypeVar("Function", bound=Callable[..., Any])

_config: Any = jax.config
_NARROWER = {"float64": jnp.float32, "int64": jnp.int32, "uint64": jnp.uint32}


def in_32_bits(function: Function) -> Function:
    """`function`, computing as JAX does by default where `jax_enable_x64` is set too.

    Then what `reset` and `step` return is of one type in a scan, and what was frozen with
    32 bits stays what it was. Arguments of 64 bits are narrowed first.
    """

    @functools.wraps(function)
    def narrowed(*args, **kwargs):
        if not _config.jax_enable_x64:
            return function(*args, **kwargs)
        args, kwargs = jax.tree.map(_narrow, (args, kwargs))
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return narrowed  # type: ignore[return-value]


def _narrow(x: Any) -> Any:
    narrower = _NARROWER.get(str(getattr(x, "dtype", None)))
    return x if narrower is None else x.astype(narrower)
