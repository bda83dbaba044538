"""The real-gated linear recurrent unit, RG-LRU (De et al. 2024, "Griffin", arXiv 2402.19427)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from agents.sequence_models.base import ResidualBlock, SequenceModel, check_width
from agents.sequence_models.linear import Dense
from agents.sequence_models.scan import choose

GATE_POWER = 8.0  # the paper's constant c


def _compose(left, right):
    """Two elements h -> decay * h + new, one after the other, as one."""
    (decay_l, new_l), (decay_r, new_r) = left, right
    return decay_r * decay_l, decay_r * new_l + new_r


def selective_recurrence(decay, new, hidden, method="auto"):
    """h[t] = decay[t] * h[t-1] + new[t]: decay, new [T, B, D], hidden [B, D] -> h [T, B, D].

    `method` as in `scan.choose`; all but the sequential one are computed by the associative scan.
    A reset is a decay of zero.
    """

    def step(h, inputs):
        decay, new = inputs
        h = decay * h + new
        return h, h

    if choose(method, decay.shape[0]) == "sequential":
        return lax.scan(step, hidden, (decay, new))[1]
    new = new.at[0].add(decay[0] * hidden)
    return lax.associative_scan(_compose, (decay, new))[1]


class RGLRULayer(nn.Module):
    """What one layer makes of its input: decays and new content. Fields as in `RGLRU`."""

    width: int
    decay_min: float
    decay_max: float

    def setup(self):
        def init(key, shape):
            # exp(-GATE_POWER * softplus(log_rate)) is uniform between the two.
            decay = jax.random.uniform(key, shape, minval=self.decay_min, maxval=self.decay_max)
            return jnp.log(jnp.expm1(-jnp.log(decay) / GATE_POWER))

        self.log_rate = self.param("log_rate", init, (self.width,))
        self.content = Dense(self.width)
        self.recurrence_gate = Dense(self.width)
        self.input_gate = Dense(self.width)

    def __call__(self, x, reset):
        """x [..., width], reset [...] -> decay, new content, both [..., width]."""
        rate = GATE_POWER * nn.softplus(self.log_rate) * nn.sigmoid(self.recurrence_gate(x))
        # sqrt(1 - decay²) keeps the size of h; bounded below, where its slope is infinite.
        size = jnp.sqrt(jnp.maximum(-jnp.expm1(-2 * rate), 1e-6))
        new = size * nn.sigmoid(self.input_gate(x)) * self.content(x)
        return jnp.where(reset[..., None], 0, jnp.exp(-rate)), new


class RGLRU(SequenceModel):
    """RG-LRU layers in S5's residual blocks.

        h[t] = a[t] h[t-1] + sqrt(1 - a[t]²) i[t] c[t]
        a = exp(-8 softplus(Λ) r),    r = sigmoid(R x),    i = sigmoid(I x),    c = V x

    Why it is here: its memory is *selective*. How much a unit forgets depends on the input, as in
    Mamba, xLSTM and Gated DeltaNet, where S5 forgets at rates fixed by its parameters. Of that
    kind it is the simplest with decays that start long by design, and it is linear in h, so that
    all of time can be computed in parallel. (The paper puts a convolution over four elements before
    it; here there is none, so that the carry is h alone.)

    width      size of the input, of the output and of each hidden state
    layers     number of layers
    decay_min/max  range of the initial decays with an open gate (r = 1)
    scan       see `selective_recurrence`

    The carry holds one array [B, width] per layer.
    """

    layers: int = 4
    decay_min: float = 0.9
    decay_max: float = 0.999
    scan: str = "auto"

    def setup(self):
        self.recurrent = [
            RGLRULayer(self.width, self.decay_min, self.decay_max) for _ in range(self.layers)
        ]
        self.residual = [ResidualBlock(self.width) for _ in range(self.layers)]

    def init_carry(self, batch: int) -> tuple[jax.Array, ...]:
        return tuple(jnp.zeros((batch, self.width)) for _ in range(self.layers))

    def __call__(self, carry, x, reset):
        def recur(decay, new, hidden):
            h = selective_recurrence(decay, new, hidden, self.scan)
            return h[-1], h

        return self._stack(recur, carry, x, reset)

    def step(self, constants, carry, x, reset):
        def recur(decay, new, hidden):
            h = decay * hidden + new
            return h, h

        return self._stack(recur, carry, x, reset)

    def _stack(self, recur, carry, x, reset):
        check_width(self.width, x)
        hiddens = []
        for block, layer, hidden in zip(self.residual, self.recurrent, carry, strict=True):
            hidden, y = recur(*layer(block.prepare(x), reset), hidden)
            hiddens.append(hidden)
            x = block.add(x, y)
        return tuple(hiddens), x
