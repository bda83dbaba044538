"""A causal Transformer with a bounded memory and resets.

Attention: Vaswani et al. 2017 (arXiv 1706.03762), normalised before each part (Xiong et al. 2020,
arXiv 2002.04745), positions by rotation (RoPE; Su et al. 2021, arXiv 2104.09864).
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from agents.sequence_models.base import SequenceModel, check_width
from agents.sequence_models.linear import Dense

QUERY_BLOCK = 256  # queries computed at a time: bounds the memory that attention weights take


class Cache(NamedTuple):
    """What one layer remembers: the keys and values of the last `context` elements.

    A ring: the element of age n (elements since the last reset) is in place n % context. `age` is
    that of the element to come, so it says which places are in use, and 0 means an empty memory,
    whatever the places hold.
    """

    keys: jax.Array  # [B, context, width], rotated to their ages
    values: jax.Array  # [B, context, width]
    age: jax.Array  # [B] int32


def ages(age: jax.Array, reset: jax.Array) -> jax.Array:
    """The age [T, B] of every element, given that of the first one [B] if it is not reset."""
    time = jnp.arange(reset.shape[0])[:, None]
    last_reset = lax.cummax(jnp.where(reset, time, -1), axis=0)
    return jnp.where(last_reset < 0, age + time, time - last_reset)


def rotate(x: jax.Array, age: jax.Array) -> jax.Array:
    """RoPE: pairs of features of x [..., heads, dim] turned by angles that grow with age [...].

    The product of a query and a key so turned depends on the difference of their ages alone.
    """
    half = x.shape[-1] // 2
    frequency = 10_000.0 ** (-jnp.arange(half) / half)
    angle = age[..., None, None] * frequency
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def attend(query, keys, values, visible):
    """query [B, Q, H, d], keys and values [B, K, H, d], visible [B, Q, K] -> [B, Q, H, d]."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, keys) / query.shape[-1] ** 0.5
    scores = jnp.where(visible[:, None], scores, -jnp.inf)
    return jnp.einsum("bhqk,bkhd->bqhd", nn.softmax(scores), values)


def windowed_attention(query, keys, values, age, context):
    """Every element attends to itself and to the elements before it that it can remember.

    query [B, T, H, d]; keys, values [B, context + T, H, d], the cached ones first, oldest to
    newest; age [B, T]. An element of age n sees the min(n, context - 1) before it. Computed in
    blocks of queries that each look at the window they can reach, and again in the backward pass:
    memory grows with T, not with T * context, and time with T * min(T, context).
    """
    batch, length, *_ = query.shape
    block = min(QUERY_BLOCK, length)
    blocks = -(-length // block)
    padding = blocks * block - length

    def pad(x):
        return jnp.pad(x, [(0, 0), (0, padding)] + [(0, 0)] * (x.ndim - 2))

    query, keys, values, age = map(pad, (query, keys, values, age))
    reach = jnp.minimum(age, context - 1)
    # Of query i of a block, key j of its window is the element `distance` before it.
    distance = context + jnp.arange(block)[:, None] - jnp.arange(context + block)

    @jax.checkpoint
    def one_block(start):
        q, r = (lax.dynamic_slice_in_dim(v, start, block, axis=1) for v in (query, reach))
        k, v = (lax.dynamic_slice_in_dim(v, start, context + block, axis=1) for v in (keys, values))
        visible = (distance >= 0) & (distance <= r[..., None])
        return attend(q, k, v, visible)

    out = lax.map(one_block, block * jnp.arange(blocks))  # [blocks, B, block, H, d]
    return jnp.moveaxis(out, 0, 1).reshape(batch, blocks * block, *query.shape[2:])[:, :length]


class Attention(nn.Module):
    """Self-attention of one layer. Fields as in `Transformer`."""

    width: int
    heads: int
    context: int

    def setup(self):
        self.qkv = Dense(3 * self.width)
        self.out = Dense(self.width)

    def _project(self, x, age):
        """Queries, keys, values [..., heads, dim], the first two rotated to their ages."""
        shape = (*x.shape[:-1], self.heads, self.width // self.heads)
        query, key, value = (v.reshape(shape) for v in jnp.split(self.qkv(x), 3, axis=-1))
        return rotate(query, age), rotate(key, age), value

    def _split(self, cached):
        return cached.reshape(*cached.shape[:2], self.heads, self.width // self.heads)

    def sequence(self, cache, x, reset):
        """x [T, B, width], reset [T, B] -> (cache, y [T, B, width])."""
        age = ages(cache.age, reset).T
        query, key, value = self._project(jnp.moveaxis(x, 0, 1), age)
        # From the ring's order to that of time. Places not in use are older than any age reaches.
        place = (cache.age[:, None] + jnp.arange(self.context)) % self.context

        def with_cached(cached, new):
            ordered = jnp.take_along_axis(cached, place[..., None], axis=1)
            return jnp.concatenate([self._split(ordered), new], axis=1)

        keys, values = with_cached(cache.keys, key), with_cached(cache.values, value)
        y = windowed_attention(query, keys, values, age, self.context)
        next_age = age[:, -1] + 1
        # Place p holds the newest element whose age is p modulo context: so many before the last.
        before = (age[:, -1:] - jnp.arange(self.context)) % self.context
        newest = (keys.shape[1] - 1 - before)[..., None]

        def ring(all_of_them):
            flat = all_of_them.reshape(*all_of_them.shape[:2], self.width)
            return jnp.take_along_axis(flat, newest, axis=1)

        y = self.out(jnp.moveaxis(y.reshape(*y.shape[:2], self.width), 0, 1))
        return Cache(ring(keys), ring(values), next_age), y

    def step(self, cache, x, reset):
        """x [B, width], reset [B] -> (cache, y [B, width]). Writes one place of the ring."""
        age = jnp.where(reset, 0, cache.age)
        query, key, value = self._project(x, age)
        row = jnp.arange(x.shape[0])
        place = age % self.context
        keys = cache.keys.at[row, place].set(key.reshape(x.shape))
        values = cache.values.at[row, place].set(value.reshape(x.shape))
        in_use = jnp.arange(self.context) <= age[:, None]
        y = attend(query[:, None], self._split(keys), self._split(values), in_use[:, None])
        return Cache(keys, values, age + 1), self.out(y.reshape(x.shape))


class FeedForward(nn.Module):
    """Two dense layers with four times the width between them."""

    width: int

    @nn.compact
    def __call__(self, x):
        return Dense(self.width)(nn.gelu(Dense(4 * self.width)(x)))


class Transformer(SequenceModel):
    """Layers of causal self-attention and a feed-forward part, each normalised and residual.

    width    size of the input, of the output and of everything between layers; a multiple of
             2 * heads
    layers   number of layers
    heads    attention heads
    context  elements that an element can attend to, itself included. Layers add up: the oldest
             element that can matter is layers * (context - 1) steps back

    An element sees itself and those before it since the last reset, at most `context`. The carry
    holds a `Cache` per layer: acting costs O(context) per step, and a sequence goes on from the
    cache of the one before it (whose keys and values stay those of the parameters of then).
    """

    layers: int = 2
    heads: int = 4
    context: int = 128

    @property
    def width_multiple(self) -> int:
        return 2 * self.heads

    def setup(self):
        if self.width % self.width_multiple:
            raise ValueError(
                f"width {self.width} cannot be split over heads={self.heads} of even size; "
                f"use a multiple of {self.width_multiple}"
            )
        if self.context < 1:
            raise ValueError(f"context must be at least 1, got {self.context}")
        self.attention = [
            Attention(self.width, self.heads, self.context) for _ in range(self.layers)
        ]
        self.feed_forward = [FeedForward(self.width) for _ in range(self.layers)]
        self.attention_norm = [nn.LayerNorm() for _ in range(self.layers)]
        self.feed_forward_norm = [nn.LayerNorm() for _ in range(self.layers)]

    def init_carry(self, batch: int) -> tuple[Cache, ...]:
        def places():
            return jnp.zeros((batch, self.context, self.width))

        return tuple(
            Cache(places(), places(), jnp.zeros(batch, jnp.int32)) for _ in range(self.layers)
        )

    def __call__(self, carry, x, reset):
        return self._stack(Attention.sequence, carry, x, reset)

    def step(self, constants, carry, x, reset):
        return self._stack(Attention.step, carry, x, reset)

    def _stack(self, attend, carry, x, reset):
        check_width(self.width, x)
        caches = []
        parts = zip(
            self.attention_norm,
            self.attention,
            self.feed_forward_norm,
            self.feed_forward,
            carry,
            strict=True,
        )
        for attention_norm, attention, feed_forward_norm, feed_forward, cache in parts:
            cache, y = attend(attention, cache, attention_norm(x), reset)
            caches.append(cache)
            x = x + y
            x = x + feed_forward(feed_forward_norm(x))
        return tuple(caches), x
