"""The space that Gymnax lacks, and members of spaces as vectors."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces
from gymnax.environments.spaces import Box, Discrete, Space

__all__ = ["Box", "Discrete", "MultiDiscrete", "Space", "encode", "flat_size"]


class MultiDiscrete(spaces.Space):
    """Integers `[len(nvec)]`, component i in `0 .. nvec[i] - 1`, which Gymnax lacks."""

    def __init__(self, nvec: Sequence[int]):
        self.nvec = tuple(int(n) for n in nvec)
        self.shape = (len(self.nvec),)
        self.dtype = jnp.dtype(jnp.int32)

    def sample(self, key: jax.Array) -> jax.Array:
        return jax.random.randint(key, self.shape, 0, jnp.array(self.nvec), self.dtype)

    def contains(self, x: jax.Array) -> jax.Array:
        x = jnp.asarray(x)
        return jnp.all((x >= 0) & (x < jnp.array(self.nvec)))

    def __repr__(self) -> str:
        return f"MultiDiscrete({list(self.nvec)})"


@functools.singledispatch
def flat_size(space: Any) -> int:
    """Numbers in `encode(space, x)`."""
    raise TypeError(f"{space!r} cannot be flattened. Choices: Box, Discrete, MultiDiscrete")


@functools.singledispatch
def encode(space: Any, x: jax.Array) -> jax.Array:
    """A member of `space` as a float32 vector.

    A Box is flattened as it is, a Discrete becomes a one-hot vector, a MultiDiscrete one
    such vector per component, one after the other.
    """
    raise TypeError(f"{space!r} cannot be flattened. Choices: Box, Discrete, MultiDiscrete")


@flat_size.register
def _(space: spaces.Box) -> int:
    return int(np.prod(space.shape))


@encode.register
def _(space: spaces.Box, x: jax.Array) -> jax.Array:
    return jnp.ravel(x).astype(jnp.float32)


@flat_size.register
def _(space: spaces.Discrete) -> int:
    return space.n


@encode.register
def _(space: spaces.Discrete, x: jax.Array) -> jax.Array:
    return (jnp.arange(space.n) == x).astype(jnp.float32)


@flat_size.register
def _(space: MultiDiscrete) -> int:
    return sum(space.nvec)


@encode.register
def _(space: MultiDiscrete, x: jax.Array) -> jax.Array:
    component = np.repeat(np.arange(len(space.nvec)), space.nvec)
    value = np.concatenate([np.arange(n) for n in space.nvec])
    return (jnp.asarray(x)[component] == value).astype(jnp.float32)
