"""Actor-critic networks around a sequence model."""

from typing import Any

import flax.linen as nn

from agents import distributions, sequence_models
from agents.config import ModelConfig


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
    """Encoder, memory, and heads for a policy over `action_space` and a value.

    All of the policy depends on the memory, a Gaussian's spread too: an agent that has
    found out its task need not explore any more.
    """

    memory: nn.Module
    action_space: Any
    encoder: tuple[int, ...] = (64,)
    head: tuple[int, ...] = (64,)

    def setup(self):
        self.encode = _MLP(self.encoder, self.memory.width)
        self.distribution = distributions.of_space(self.action_space)
        n_outputs = self.distribution.n_outputs(self.action_space)
        self.actor = _MLP(self.head, n_outputs, out_gain=0.01)
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
        policy = self.distribution.of(self.actor(y), self.action_space)
        return policy, self.critic(y)[..., 0]


def make(config: ModelConfig, action_space: Any) -> ActorCritic:
    """The network that `config` describes.

    Raises:
        ValueError: unknown memory, a setting that it lacks, or too few `params`.
        TypeError: an action space over which there is no policy.
    """
    distributions.of_space(action_space)
    fields = {"layers": config.layers, **config.memory_options()}
    width = config.width
    if config.params is not None:
        width = sequence_models.width_for(config.memory, config.params, **fields)
    memory = sequence_models.make(config.memory, width=width, **fields)
    return ActorCritic(memory, action_space, config.encoder, config.head)
