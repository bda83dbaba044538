"""Actor-critic networks around a sequence model."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from agents import sequence_models
from agents.config import ModelConfig
from agents.learner import correlations, distributions
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


class Answer(NamedTuple):
    """What a network makes of a sequence.

    Attributes:
        carry: the memories after it.
        policy: over actions, `[T, B]`.
        value: `[T, B]`.
        reconstruction: `[T, B, P]` of the privileged input, normalised; None if the network
            has none.
        target: `[T, B, P]` what the reconstruction should be; None likewise.
    """

    carry: Any
    policy: Any
    value: jax.Array
    reconstruction: jax.Array | None
    target: jax.Array | None


class ActorCritic(nn.Module):
    """Encoder, memory, and heads for a policy over `action_space` and a value.

    All of the policy depends on the memory, a Gaussian's spread too: an agent that has
    found out its task need not explore any more. With a `value_memory`, the value has an
    encoder and a memory of its own. The carry is a tuple of one memory or two and, with
    `lag`, of the last observation, and with a `layout` of what `correlations` keeps.

    With a `layout` the encoder and the policy see the features of `correlations` too, and
    the policy's mean has a part that is a sum of their directions, weighted by the head.

    With `privileged` the memory reconstructs a vector that the policy does not see, and the
    value sees it if it is `shown_to_critic`; both only in training.
    """

    memory: nn.Module
    action_space: Any
    encoder: tuple[int, ...] = (64,)
    head: tuple[int, ...] = (64,)
    value_memory: nn.Module | None = None
    normalise: bool = False
    lag: int = 0
    layout: correlations.Layout | None = None
    privileged: int = 0
    shown_to_critic: bool = True

    def setup(self):
        self.distribution = distributions.of_space(self.action_space)
        if self.normalise:
            self.normalised = _Normalise()
        self.encode = _MLP(self.encoder, self.memory.width)
        if self.value_memory is not None:
            self.encode_value = _MLP(self.encoder, self.value_memory.width)
        n_outputs = self.distribution.n_outputs(self.action_space)
        n_outputs += 0 if self.layout is None else self.layout.directions
        self.actor = _MLP(self.head, n_outputs, out_gain=0.01)
        self.critic = _MLP(self.head, 1)
        if self.privileged:
            self.normalised_privileged = _Normalise()
            self.reconstruct = _dense(self.privileged, 1.0)

    def init_carry(self, batch: int) -> Any:
        """Empty memories."""
        memories = tuple(memory.init_carry(batch) for memory in self._memories())
        last = (jnp.zeros((batch, self.lag)),) if self.lag else ()
        found = () if self.layout is None else (correlations.empty(self.layout, batch),)
        return (*memories, *last, *found)

    def __call__(self, carry, obs, reset, privileged=None):
        """A sequence: `obs [T, B, O]`, `reset [T, B]`, `privileged [T, B, P]`.

        Returns the carry, the policies and the values `[T, B]`.
        """
        answer = self.replay(carry, obs, reset, privileged)
        return answer.carry, answer.policy, answer.value

    def replay(self, carry, obs, reset, privileged=None, sensed=None) -> Answer:
        """As `__call__`, with all that a loss may ask of the network. `sensed` is what `sense`
        gives; it has no gradient and stays the same as long as what it is made of."""

        def delayed(last, x):
            return x[-1], jnp.concatenate([last[None], x[:-1]])

        def read(memory, _, carry, x):
            return memory(carry, x, reset)

        if sensed is None:
            carry, sensed = self.sense(carry, obs, reset)
        return self._answer(carry, obs, reset, privileged, sensed, delayed, read)

    def sense(self, carry, obs, reset):
        """The carry after `obs [T, B, O]`, as far as `correlations` goes, and their features
        `[T, B, F]`, of no width without a `layout`."""
        layout = self.layout
        if layout is None:
            return carry, jnp.zeros((*obs.shape[:-1], 0))

        def sense_one(found, element):
            obs, normalised, reset = element
            return correlations.step(layout, found, normalised, obs[..., -1] > 0, reset)

        *others, found = carry
        found, features = jax.lax.scan(sense_one, found, (obs, self._normalised(obs), reset))
        return (*others, found), features

    def step_constants(self) -> Any:
        """What acting needs that depends on the parameters only."""
        return tuple(memory.step_constants() for memory in self._memories())

    def step(self, constants, carry, obs, reset, privileged=None):
        """One step: `obs [B, O]`, `reset [B]`. Returns the carry, policies, values `[B]`."""

        def delayed(last, x):
            return x, last

        def read(memory, constants, carry, x):
            return memory.step(constants, carry, x, reset)

        carry, sensed = self.sense(carry, obs[None], reset[None])
        answer = self._answer(carry, obs, reset, privileged, sensed[0], delayed, read, constants)
        return answer.carry, answer.policy, answer.value

    def _memories(self):
        return [self.memory] if self.value_memory is None else [self.memory, self.value_memory]

    def _normalised(self, obs):
        return self.normalised(obs) if self.normalise else obs

    def _answer(self, carry, obs, reset, privileged, sensed, delayed, read, constants=None):
        obs = self._normalised(obs)
        memories = self._memories()
        carry, kept = carry[: len(memories)], carry[len(memories) :]
        parts = [obs]
        if self.lag:
            last, before = delayed(kept[0], obs)
            parts.append(jnp.where(reset[..., None], 0.0, before))
            kept = (last, *kept[1:])
        seen = jnp.concatenate([*parts, sensed], axis=-1)
        inputs = [self.encode(seen)]
        if self.value_memory is not None:
            inputs.append(self.encode_value(seen))
        constants = [None] * len(memories) if constants is None else constants
        answers = [read(*of) for of in zip(memories, constants, carry, inputs, strict=True)]
        carry, features = zip(*answers, strict=True)
        policy = self._policy(features[0], obs, sensed)
        return Answer((*carry, *kept), policy, *self._value(features, privileged))

    def _policy(self, features, obs, sensed):
        if self.layout is None:
            return self.distribution.of(self.actor(features), self.action_space)
        outputs = self.actor(jnp.concatenate([features, sensed], axis=-1))
        outputs, weights = jnp.split(outputs, [outputs.shape[-1] - self.layout.directions], -1)
        found = correlations.directions(self.layout, obs, sensed)
        mean = jnp.einsum("...d,...da->...a", weights, found)
        outputs = outputs.at[..., : self.layout.action].add(mean)
        return self.distribution.of(outputs, self.action_space)

    def _value(self, features, privileged):
        """Value, reconstruction and its target."""
        if not self.privileged:
            return self.critic(features[-1])[..., 0], None, None
        # Also where nothing is given, so that acting needs the parameters of training.
        if privileged is None:
            privileged = jnp.zeros((*features[0].shape[:-1], self.privileged))
        shown = self.normalised_privileged(privileged)
        seen = [features[-1], shown] if self.shown_to_critic else [features[-1]]
        value = self.critic(jnp.concatenate(seen, axis=-1))[..., 0]
        return value, self.reconstruct(features[0]), shown


def seen(variables: Any, obs: jax.Array, privileged: jax.Array | None = None) -> Any:
    """A network's variables with `obs [..., O]`, and `privileged [..., P]` if there is any,
    counted in the moments it normalises by."""
    if "moments" not in variables:
        return variables
    inputs = {"normalised": obs, "normalised_privileged": privileged}
    moments = {
        name: {"input": of["input"].updated(inputs[name])}
        for name, of in variables["moments"].items()
    }
    return {**variables, "moments": moments}


def make(
    config: ModelConfig,
    action_space: Any,
    obs_size: int = 0,
    privileged: int = 0,
    shown_to_critic: bool = True,
    layout: correlations.Layout | None = None,
) -> ActorCritic:
    """The network that `config` describes.

    Args:
        config: its settings.
        action_space: of the environment.
        obs_size: of its observations; needed with `lag`.
        privileged: how many numbers more there are in training, to be reconstructed.
        shown_to_critic: whether the value sees them.
        layout: of the observations; needed with `correlations`.

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
        lag=obs_size if config.lag else 0,
        layout=layout if config.correlations else None,
        privileged=privileged,
        shown_to_critic=shown_to_critic,
    )
