"""Actor-critic networks around a sequence model."""

from typing import Any

import flax.linen as nn
import jax

from agents import sequence_models
from agents.config import ModelConfig
from agents.learner import distributions
from agents.learner.moments import Moments
from agents.sequence_models.linear import Dense


def _dense(width: int, gain: float = 2**0.5) -> nn.Dense:
    return Dense(width, kernel_init=nn.initializers.orthogonal(gain))


class _MLP(nn.Module):
    widths: tuple[int, ...]
    out: int | None = None
    out_gain: float = 1.0

    @nn.compact
    def __call__(self, x):
        for width in self.widths:
            x = nn.gelu(_dense(width)(x))
        return x if self.out is None else _dense(self.out, self.out_gain)(x)


class _Normalise(nn.Module):
    """Inputs by their running moments: variables, but no parameters; see `seen`."""

    @nn.compact
    def __call__(self, x):
        moments = self.variable("moments", "input", Moments.of_shape, x.shape[-1:])
        return jax.lax.stop_gradient(moments.value).normalise(x)


class ActorCritic(nn.Module):
    """Encoder, memory, and heads for a policy over `action_space` and a value.

    All of the policy depends on the memory, a Gaussian's spread too: an agent that has
    found out its task need not explore any more. With a `value_memory`, the value has an
    encoder and a memory of its own. The carry is a tuple of one memory or two.
    """

    memory: nn.Module
    action_space: Any
    encoder: tuple[int, ...] = (64,)
    head: tuple[int, ...] = (64,)
    value_memory: nn.Module | None = None
    normalise: bool = False

    def setup(self):
        self.distribution = distributions.of_space(self.action_space)
        if self.normalise:
            self.normalised = _Normalise()
        self.encode = _MLP(self.encoder, self.memory.width)
        if self.value_memory is not None:
            self.encode_value = _MLP(self.encoder, self.value_memory.width)
        n_outputs = self.distribution.n_outputs(self.action_space)
        self.actor = _MLP(self.head, n_outputs, out_gain=0.01)
        self.critic = _MLP(self.head, 1)

    def init_carry(self, batch: int) -> Any:
        """Empty memories."""
        return tuple(memory.init_carry(batch) for memory in self._memories())

    def __call__(self, carry, obs, reset):
        """A sequence: `obs [T, B, O]`, `reset [T, B]`.

        Returns the carry, the policies and the values `[T, B]`.
        """
        parts = zip(self._memories(), carry, self._encoded(obs), strict=True)
        return self._heads([memory(c, x, reset) for memory, c, x in parts])

    def step_constants(self) -> Any:
        """What acting needs that depends on the parameters only."""
        return tuple(memory.step_constants() for memory in self._memories())

    def step(self, constants, carry, obs, reset):
        """One step: `obs [B, O]`, `reset [B]`. Returns the carry, policies, values `[B]`."""
        parts = zip(self._memories(), constants, carry, self._encoded(obs), strict=True)
        return self._heads([memory.step(k, c, x, reset) for memory, k, c, x in parts])

    def _memories(self):
        return [self.memory] if self.value_memory is None else [self.memory, self.value_memory]

    def _encoded(self, obs):
        obs = self.normalised(obs) if self.normalise else obs
        alone = self.value_memory is None
        return [self.encode(obs)] if alone else [self.encode(obs), self.encode_value(obs)]

    def _heads(self, trunks):
        carry, features = zip(*trunks, strict=True)
        policy = self.distribution.of(self.actor(features[0]), self.action_space)
        return carry, policy, self.critic(features[-1])[..., 0]


def seen(variables: Any, obs: jax.Array) -> Any:
    """A network's variables with `obs [..., O]` counted in the moments it normalises by."""

    def updated(moments):
        return moments.updated(obs)

    if "moments" not in variables:
        return variables
    is_moments = dict(is_leaf=lambda x: isinstance(x, Moments))
    return {**variables, "moments": jax.tree.map(updated, variables["moments"], **is_moments)}


def make(config: ModelConfig, action_space: Any) -> ActorCritic:
    """The network that `config` describes.

    Raises:
        ValueError: unknown memory, a setting that it lacks or refuses, or too few `params`.
        TypeError: an action space over which there is no policy.
    """
    distributions.of_space(action_space)
    fields = {"layers": config.layers, **config.memory_options()}
    width = config.width
    if config.params is not None:
        width = sequence_models.width_for(config.memory, config.params, **fields)

    def memory() -> Any:
        return sequence_models.make(config.memory, width=width, **fields)

    sequence_models.count_parameters(memory())  # sets it up: a bad setting is refused here
    return ActorCritic(
        memory(),
        action_space,
        config.encoder,
        config.head,
        value_memory=memory() if config.separate_value else None,
        normalise=config.normalise_observations,
    )
