"""Policies over actions: a distribution for every kind of action space."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from metaenvs import spaces

LOG_STD_MIN, LOG_STD_MAX = -4.0, 0.5


class Gaussian(struct.PyTreeNode):
    """A diagonal normal distribution over the actions `[..., n]` of a Box."""

    mean: jax.Array
    log_std: jax.Array

    @staticmethod
    def n_outputs(space: spaces.Box) -> int:
        return 2 * spaces.flat_size(space)

    @classmethod
    def of(cls, outputs: jax.Array, space: spaces.Box) -> "Gaussian":
        mean, spread = jnp.split(outputs, 2, axis=-1)
        # Starts near 0.6: wide enough to find the projection, narrow enough to move.
        return cls(mean, jnp.clip(spread - 0.5, LOG_STD_MIN, LOG_STD_MAX))

    def sample(self, key: jax.Array) -> jax.Array:
        noise = jax.random.normal(key, self.mean.shape)
        return self.mean + jnp.exp(self.log_std) * noise

    def mode(self) -> jax.Array:
        return self.mean

    def log_prob(self, action: jax.Array) -> jax.Array:
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return jnp.sum(-0.5 * (z**2 + jnp.log(2 * jnp.pi)) - self.log_std, axis=-1)

    def entropy(self) -> jax.Array:
        return jnp.sum(self.log_std + 0.5 * jnp.log(2 * jnp.pi * jnp.e), axis=-1)


class Categorical(struct.PyTreeNode):
    """A distribution over the actions `[...]` of a Discrete; `log_p [..., n]` is normalised."""

    log_p: jax.Array

    @staticmethod
    def n_outputs(space: spaces.Discrete) -> int:
        return space.n

    @classmethod
    def of(cls, outputs: jax.Array, space: spaces.Discrete) -> "Categorical":
        return cls(jax.nn.log_softmax(outputs))

    def sample(self, key: jax.Array) -> jax.Array:
        return jax.random.categorical(key, self.log_p)

    def mode(self) -> jax.Array:
        return jnp.argmax(self.log_p, axis=-1)

    def log_prob(self, action: jax.Array) -> jax.Array:
        return jnp.take_along_axis(self.log_p, action[..., None], axis=-1)[..., 0]

    def entropy(self) -> jax.Array:
        return -jnp.sum(jnp.exp(self.log_p) * self.log_p, axis=-1)


class MultiCategorical(struct.PyTreeNode):
    """Independent categorical distributions: the actions `[..., k]` of a MultiDiscrete."""

    parts: tuple[Categorical, ...]

    @staticmethod
    def n_outputs(space: spaces.MultiDiscrete) -> int:
        return sum(space.nvec)

    @classmethod
    def of(cls, outputs: jax.Array, space: spaces.MultiDiscrete) -> "MultiCategorical":
        parts = jnp.split(outputs, np.cumsum(space.nvec)[:-1], axis=-1)
        return cls(tuple(Categorical(jax.nn.log_softmax(part)) for part in parts))

    def sample(self, key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, len(self.parts))
        actions = [part.sample(k) for part, k in zip(self.parts, keys, strict=True)]
        return jnp.stack(actions, axis=-1)

    def mode(self) -> jax.Array:
        return jnp.stack([part.mode() for part in self.parts], axis=-1)

    def log_prob(self, action: jax.Array) -> jax.Array:
        terms = [part.log_prob(action[..., i]) for i, part in enumerate(self.parts)]
        return jnp.sum(jnp.stack(terms), axis=0)

    def entropy(self) -> jax.Array:
        return jnp.sum(jnp.stack([part.entropy() for part in self.parts]), axis=0)


DISTRIBUTIONS: dict[type, Any] = {
    spaces.Box: Gaussian,
    spaces.Discrete: Categorical,
    spaces.MultiDiscrete: MultiCategorical,
}
"""Action space to policy. Each has `n_outputs(space)`, the numbers that a network gives it."""


def of_space(space: Any) -> Any:
    """The class in `DISTRIBUTIONS` for an action space.

    Raises:
        TypeError: if there is none; the message lists the choices.
    """
    for kind, distribution in DISTRIBUTIONS.items():
        if isinstance(space, kind):
            return distribution
    choices = ", ".join(kind.__name__ for kind in DISTRIBUTIONS)
    raise TypeError(f"no policy over actions of {space!r}. Choices: {choices}")
