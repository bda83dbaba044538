"""Long short-term memory (Hochreiter & Schmidhuber 1997)."""

import flax.linen as nn
import jax.numpy as jnp

from agents.sequence_models.gated import GatedModel


class LSTM(GatedModel):
    """A stack of LSTM layers, with the equations of `flax.linen.LSTMCell`.

    width    size of the input, of the output and of each hidden state
    layers   number of layers
    horizon  untrained units remember for 1 to `horizon` steps: see `GatedLayer`

    The carry holds, per layer, (cell [B, width], hidden [B, width]).
    """

    timescales = (-1, 1, 0, 0)  # of the gates input, forget, cell, output
    memories = 2

    def cell(self, memory, from_input, from_hidden):
        c, _ = memory
        i, f, g, o = jnp.split(from_input + from_hidden, 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * nn.tanh(g)
        return c, nn.sigmoid(o) * nn.tanh(c)
