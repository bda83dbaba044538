"""Actor-critic networks around a sequence model."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from agents import sequence_models
from agents.config import ModelConfig

LOG_STD_MIN, LOG_STD_MAX = -4.0, 0.5


class Gaussian(struct.PyTreeNode):
    """A diagonal normal distribution over actions `[..., action_size]`."""

    mean: jax.Array
    log_std: jax.Array

    def sample(self, key: jax.Array) -> jax.Array:
        noise = jax.random.normal(key, self.mean.shape)
        return self.mean + jnp.exp(self.log_std) * noise

    def log_prob(self, action: jax.Array) -> jax.Array:
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return jnp.sum(-0.5 * (z**2 + jnp.log(2 * jnp.pi)) - self.log_std, axis=-1)

    def entropy(self) -> jax.Array:
        return jnp.sum(self.log_std + 0.5 * jnp.log(2 * jnp.pi * jnp.e), axis=-1)


def _dense(width: int, gain: float = 2**0.5) -> nn.Dense:
    return nn.Dense(width, kernel_init=nn.initializers.orthogonal(gain))


class _MLP(nn.Module):
    widths: tuple[int, ...]
    out: int | None = None
    out_gain: float = 1.0

    @nn.compact
    def __call__(self, x):
        for width in self.widths:
            x = nn.gelu(_dense(width)(x))
        return x if self.out is None else _dense(self.out, self.out_gain)(x)


class ActorCritic(nn.Module):
    """Encoder, memory, and heads for a Gaussian policy and a value.

    The policy's spread depends on the memory: an agent that has found out its task
    need not explore any more.
    """

    memory: nn.Module
    action_size: int
    encoder: tuple[int, ...] = (64,)
    head: tuple[int, ...] = (64,)

    def setup(self):
        self.encode = _MLP(self.encoder, self.memory.width)
        self.actor = _MLP(self.head, 2 * self.action_size, out_gain=0.01)
        self.critic = _MLP(self.head, 1)

    def init_carry(self, batch: int) -> Any:
        """An empty memory."""
        return self.memory.init_carry(batch)

    def __call__(self, carry, obs, reset):
        """A sequence: `obs [T, B, O]`, `reset [T, B]`.

        Returns the carry, the policies and the values `[T, B]`.
        """
        carry, y = self.memory(carry, self.encode(obs), reset)
        return carry, *self._heads(y)

    def step_constants(self) -> Any:
        """What acting needs that depends on the parameters only."""
        return self.memory.step_constants()

    def step(self, constants, carry, obs, reset):
        """One step: `obs [B, O]`, `reset [B]`. Returns the carry, policies, values `[B]`."""
        carry, y = self.memory.step(constants, carry, self.encode(obs), reset)
        return carry, *self._heads(y)

    def _heads(self, y):
        mean, spread = jnp.split(self.actor(y), 2, axis=-1)
        # Starts near 0.6: wide enough to find the projection, narrow enough to move.
        log_std = jnp.clip(spread - 0.5, LOG_STD_MIN, LOG_STD_MAX)
        return Gaussian(mean, log_std), self.critic(y)[..., 0]


def make(config: ModelConfig, action_size: int) -> ActorCritic:
    """The network that `config` describes.

    Raises:
        ValueError: unknown memory, a setting that it lacks, or too few `params`.
    """
    fields = {"layers": config.layers, **config.memory_options()}
    width = config.width
    if config.params is not None:
        width = sequence_models.width_for(config.memory, config.params, **fields)
    memory = sequence_models.make(config.memory, width=width, **fields)
    return ActorCritic(memory, action_size, config.encoder, config.head)
