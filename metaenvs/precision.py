"""The numbers of every environment: 32 bits in full precision, however JAX is configured."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

Function = TypeVar("Function", bound=Callable[..., Any])

_config: Any = jax.config
_NARROWER = {"float64": jnp.float32, "int64": jnp.int32, "uint64": jnp.uint32}


def in_32_bits(function: Function) -> Function:
    """`function`, computing in float32 whatever settings of JAX are in force where it is called.

    With `jax_enable_x64`, arguments of 64 bits are narrowed, so that what `reset` and `step`
    return is of one type in a scan, and what was frozen stays what it was. Matrices are
    multiplied in full precision: by default GPUs since Ampere round their entries to 10 bits
    (TF32) and TPUs to 7, which is too coarse for physics. `jax_numpy_rank_promotion` does not
    reach inside.
    """

    @functools.wraps(function)
    def narrowed(*args, **kwargs):
        with contextlib.ExitStack() as settings:
            settings.enter_context(jax.default_matmul_precision("highest"))
            settings.enter_context(jax.numpy_rank_promotion("allow"))
            if _config.jax_enable_x64:
                args, kwargs = jax.tree.map(_narrow, (args, kwargs))
                settings.enter_context(jax.enable_x64(False))
            return function(*args, **kwargs)

    return narrowed  # type: ignore[return-value]


def _narrow(x: Any) -> Any:
    narrower = _NARROWER.get(str(getattr(x, "dtype", None)))
    return x if narrower is None else x.astype(narrower)
