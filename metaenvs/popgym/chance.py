"""Few and cheap random numbers: what a game draws in a step costs less than the step.

A game takes a `seed`, uint32 `[2]`, made of the key that a step or a reset was given, and
draws 32-bit words from it. A word is the seed's two halves and the word's index, each
followed by an integer hash of full avalanche ("lowbias32", Wellons 2018, hash-prospector),
some dozen operations that XLA fuses into the step. `jax.random.bits` takes a hundred, in a
loop of its own, which on a CPU is most of what a step of a game of cards costs.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

START, STEP = 0, 1
"""What a seed is for: the two that one key gives are independent."""

_GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: steps through all words, far apart


def seed(key: jax.Array, purpose: int) -> jax.Array:
    """uint32 `[2]` from a JAX key of any kind, for one purpose."""
    data = jax.random.key_data(key)
    return jnp.stack([data[0] + np.uint32(purpose * 0x85EBCA6B), data[-1]])


def fold(seed: jax.Array, data: jax.Array | int) -> jax.Array:
    """Another seed, for every number `data` another one."""
    return words(seed, 2, jnp.asarray(data, jnp.uint32) + np.uint32(1 << 16))


def words(seed: jax.Array, count: int, first: jax.Array | int = 0) -> jax.Array:
    """uint32 `[count]`, uniform and independent."""
    index = jnp.asarray(first, jnp.uint32) + jnp.arange(1, count + 1, dtype=jnp.uint32)
    return _hash(_hash(seed[0] + index * np.uint32(_GOLDEN)) ^ seed[1])


def _hash(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * np.uint32(0x21F0AAAD)
    x = (x ^ (x >> 15)) * np.uint32(0x735A2D97)
    return x ^ (x >> 15)


def below(word: jax.Array, n: jax.Array | int) -> jax.Array:
    """An integer uniform over `0 .. n - 1`, for `n` below 2^16 that may be traced.

    The word times `n` over 2^32: each integer's probability is 1 / n to within 2^-32.
    """
    n = jnp.asarray(n).astype(jnp.uint32)
    high, low = word >> 16, word & 0xFFFF
    return ((high * n + ((low * n) >> 16)) >> 16).astype(jnp.int32)


def unit(word: jax.Array) -> jax.Array:
    """A float32 uniform over [0, 1), a multiple of 2^-24."""
    return (word >> 8).astype(jnp.float32) * np.float32(2**-24)


def symmetric(word: jax.Array, limit: float | np.ndarray) -> jax.Array:
    """A float32 uniform over (-limit, limit)."""
    odd = 2 * (word >> 8).astype(jnp.int32) + 1 - (1 << 24)
    return odd.astype(jnp.float32) * (np.float32(2**-24) * np.asarray(limit, np.float32))


def normal(word: jax.Array) -> jax.Array:
    """A float32 of the standard normal distribution, by inversion (up to 5.3 in size)."""
    return math.sqrt(2.0) * jax.scipy.special.erfinv(symmetric(word, 1.0))
