"""The gated recurrent unit (Cho et al. 2014, arXiv 1406.1078)."""

import flax.linen as nn
import jax.numpy as jnp

from agents.sequence_models.gated import GatedModel


class GRU(GatedModel):
    """A stack of GRU layers, with the equations of `flax.linen.GRUCell`.

    width    size of the input, of the output and of each hidden state
    layers   number of layers
    horizon  untrained units remember for 1 to `horizon` steps: see `GatedLayer`

    The carry holds, per layer, (hidden [B, width],).
    """

    timescales = (0, 1, 0)  # of the gates reset, update, new
    memories = 1

    def cell(self, memory, from_input, from_hidden):
        (hidden,) = memory
        input_r, input_z, input_n = jnp.split(from_input, 3, axis=-1)
        hidden_r, hidden_z, hidden_n = jnp.split(from_hidden, 3, axis=-1)
        r = nn.sigmoid(input_r + hidden_r)
        z = nn.sigmoid(input_z + hidden_z)
        n = nn.tanh(input_n + r * hidden_n)
        return ((1 - z) * n + z * hidden,)
