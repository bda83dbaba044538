"""Long short-term memory (Hochreiter & Schmidhuber 1997)."""

import flax.linen as nn
import jax.numpy as jnp

from agents.sequence_models.gated import GatedModel


class LSTM(GatedModel):
    """A stack of LSTM layers, with the equations of `flax.linen.LSTMCell`, but for one thing:
    1 is added to the forget gate's input, so that an untrained memory lasts (Jozefowicz et al.
    2015).

    width   size of the input, of the output and of each hidden state
    layers  number of layers

    The carry holds, per layer, (cell [B, width], hidden [B, width]).
    """

    gates = 4  # input, forget, cell, output
    memories = 2

    def cell(self, memory, from_input, from_hidden):
        c, _ = memory
        i, f, g, o = jnp.split(from_input + from_hidden, 4, axis=-1)
        c = nn.sigmoid(f + 1) * c + nn.sigmoid(i) * nn.tanh(g)
        return c, nn.sigmoid(o) * nn.tanh(c)
