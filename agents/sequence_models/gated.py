"""What GRU and LSTM share: everything but the equations of their cell."""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from agents.sequence_models.base import SequenceModel, check_width, wipe
from agents.sequence_models.linear import Dense


class GatedLayer(nn.Module):
    """Weights of one layer with `gates` gates: input [width, gates * width], recurrent likewise.

    Initialised gate by gate: LeCun normal for the input, orthogonal for the recurrent weights. Both
    have a bias; only the GRU's `new` gate tells the two apart. The input's starts as `timescales`
    [gates] times b, with b[unit] uniform between 0 and log(horizon): a gate with bias b keeps a
    memory for about exp(b) steps (Tallec & Ollivier 2018, arXiv 1804.11188, with their uniform
    exp(b) made log-uniform). From constant biases (0, or 1 for
    the LSTM's forget gate) neither model learned a cue over 100 steps in 400 updates.
    """

    width: int
    timescales: tuple[int, ...]
    horizon: float

    def setup(self):
        def recurrent_init(key, shape):
            rows, _ = shape
            keys = jax.random.split(key, gates)
            orthogonal = nn.initializers.orthogonal()
            return jnp.concatenate([orthogonal(k, (rows, rows)) for k in keys], axis=1)

        def bias_init(key, shape, dtype):
            b = jax.random.uniform(key, (self.width,), dtype, maxval=jnp.log(self.horizon))
            return jnp.concatenate([scale * b for scale in self.timescales])

        gates = len(self.timescales)
        features = gates * self.width
        self.input = Dense(features, bias_init=bias_init)
        self.recurrent = self.param("recurrent", recurrent_init, (self.width, features))
        self.recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (features,))

    def project(self, x):
        """The input's part of all gates, [..., gates * width]."""
        return self.input(x)


class GatedModel(SequenceModel):
    """A plain stack of gated recurrent layers: each reads the hidden states of the one below.

    Subclasses say how many `memories` (arrays [B, width] of carry per layer, the hidden state last)
    their cell has, its equations, and for each gate in turn whether its initial bias is to keep
    memories (1), to shut out what would overwrite them (-1) or neither (0).
    """

    layers: int = 1
    horizon: float = 1000.0

    timescales: ClassVar[tuple[int, ...]]
    memories: ClassVar[int]

    def cell(self, memory, from_input, from_hidden):
        """(tuple of arrays [B, width], [B, gates * width] twice) -> the next tuple."""
        raise NotImplementedError

    def setup(self):
        self.stack = [
            GatedLayer(self.width, self.timescales, self.horizon) for _ in range(self.layers)
        ]

    def init_carry(self, batch: int) -> Any:
        # Each array a buffer of its own: the same buffer cannot be donated twice.
        def memory():
            return tuple(jnp.zeros((batch, self.width)) for _ in range(self.memories))

        return tuple(memory() for _ in range(self.layers))

    def __call__(self, carry, x, reset):
        def run(layer, memory, x):
            weights = layer.recurrent, layer.recurrent_bias

            def advance(memory, inputs):
                memory = self._advance(weights, memory, *inputs)
                return memory, memory[-1]

            # The input's products are outside the scan: one large matrix product for all of time.
            return lax.scan(advance, memory, (layer.project(x), reset))

        return self._stack(run, carry, x)

    def step(self, constants, carry, x, reset):
        def run(layer, memory, x):
            weights = layer.recurrent, layer.recurrent_bias
            memory = self._advance(weights, memory, layer.project(x), reset)
            return memory, memory[-1]

        return self._stack(run, carry, x)

    def _advance(self, weights, memory, from_input, reset):
        kernel, bias = weights
        memory = wipe(memory, reset)
        return self.cell(memory, from_input, memory[-1] @ kernel + bias)

    def _stack(self, run, carry, x):
        check_width(self.width, x)
        memories = []
        for layer, memory in zip(self.stack, carry, strict=True):
            memory, x = run(layer, memory, x)
            memories.append(memory)
        return tuple(memories), x
