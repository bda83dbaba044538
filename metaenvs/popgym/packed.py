"""Rows of suits, sixteen to a 32-bit word: a quarter of what an int8 array would move."""

import jax
import jax.numpy as jnp

from metaenvs.popgym.base import at

_BITS, _PER_WORD = 2, 16


def empty(size: int) -> jax.Array:
    """uint32 words for at least `size` suits, all 0."""
    return jnp.zeros(-(-size // _PER_WORD), jnp.uint32)


def get(words: jax.Array, index: jax.Array | int) -> jax.Array:
    """The suit at `index`, 0 beyond the end."""
    word = at(words, jnp.asarray(index) // _PER_WORD)
    return ((word >> _shift(index)) & 3).astype(jnp.int32)


def put(words: jax.Array, index: jax.Array | int, suit: jax.Array) -> jax.Array:
    """`words` with `suit` at `index`, where 0 was; nothing changes beyond the end."""
    here = jnp.arange(len(words)) == jnp.asarray(index) // _PER_WORD
    return words | jnp.where(here, suit.astype(jnp.uint32) << _shift(index), 0)


def pushed(words: jax.Array, suit: jax.Array) -> jax.Array:
    """`words` with `suit` at index 0 and all others one place further; the last is lost."""
    last = _BITS * (_PER_WORD - 1)
    carried = jnp.concatenate([suit.astype(jnp.uint32)[None], words[:-1] >> last])
    return (words << _BITS) | carried


def _shift(index: jax.Array | int) -> jax.Array:
    return (_BITS * (jnp.asarray(index) % _PER_WORD)).astype(jnp.uint32)
