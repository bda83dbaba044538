"""The contract of every sequence model, and what several of them share.

A sequence model is a Flax (linen) module. It reads whole sequences when an agent learns and one
element at a time when it acts, with the same parameters and the same result:

    model = make("s5", width=64)
    variables = model.init(key, model.init_carry(B), x, reset)       # x [T, B, 64], reset [T, B]
    carry, y = model.apply(variables, carry, x, reset)               # y [T, B, 64]

    constants = model.apply(variables, method="step_constants")      # once per update
    carry, y = model.apply(variables, constants, carry, x[0], reset[0], method="step")
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from agents.sequence_models.linear import Dense
from metaenvs import errors


class SequenceModel(nn.Module):
    """Base class. Subclasses have a field `width`, the size of their input and output vectors.

    `width_multiple` is the number that the width must be a multiple of.

    The carry is the model's memory: a pytree whose leaves all have the batch as axis 0, `()` for
    a model that has none. `reset[t]` clears the carry *before* x[t] is read.
    """

    width: int = 256

    @property
    def width_multiple(self) -> int:
        return 1

    def init_carry(self, batch: int) -> Any:
        """An empty memory for `batch` sequences: all zeros. Needs no parameters."""
        raise NotImplementedError

    def __call__(self, carry: Any, x: jax.Array, reset: jax.Array) -> tuple[Any, jax.Array]:
        """(carry, x [T, B, width], reset [T, B]) -> (carry after x[T-1], y [T, B, width])."""
        raise NotImplementedError

    def step_constants(self) -> Any:
        """What `step` needs that depends on the parameters alone: compute it once per update."""
        return ()

    def step(
        self, constants: Any, carry: Any, x: jax.Array, reset: jax.Array
    ) -> tuple[Any, jax.Array]:
        """One element, no scan: (.., x [B, width], reset [B]) -> (carry, y [B, width])."""
        raise NotImplementedError


def wipe(carry: Any, reset: jax.Array) -> Any:
    """The carry with the rows where reset [B] is set back at zero, that is, empty."""

    def leaf(c):
        return jnp.where(reset.reshape(reset.shape + (1,) * (c.ndim - 1)), 0, c)

    return jax.tree.map(leaf, carry)


def check_width(width: int, x: jax.Array) -> None:
    """Refuse an input of another width, rather than project or broadcast it unasked."""
    if x.shape[-1] != width:
        raise ValueError(
            f"the model has width {width} but its input has {x.shape[-1]} features; "
            "put a Dense layer before it or change `width`"
        )


class HalfGate(nn.Module):
    """z * sigmoid(W z + w), with z = GELU(x): half of a gated linear unit."""

    width: int

    @nn.compact
    def __call__(self, x):
        z = nn.gelu(x)
        return z * nn.sigmoid(Dense(self.width, name="gate")(z))


class FullGate(nn.Module):
    """(V z + v) * sigmoid(W z + w), with z = GELU(x): a gated linear unit."""

    width: int

    @nn.compact
    def __call__(self, x):
        z = nn.gelu(x)
        return Dense(self.width, name="value")(z) * nn.sigmoid(Dense(self.width, name="gate")(z))


class NoGate(nn.Module):
    """GELU(x)."""

    width: int

    def __call__(self, x):
        return nn.gelu(x)


GATES = {"half": HalfGate, "full": FullGate, "none": NoGate}


class ResidualBlock(nn.Module):
    """x + gate(mix(LayerNorm(x))): S5's block, whatever does the mixing.

    Use as `block.add(x, mix(block.prepare(x)))`; all shapes [..., width].

    gate  a name in `GATES`; those of Smith et al. 2023, who use "half" and "full"
    norm  "pre" as above, or "post": LayerNorm(x + gate(mix(x)))
    """

    width: int
    gate: str = "half"
    norm: str = "pre"

    def setup(self):
        self.normalise = nn.LayerNorm()
        self.gated = errors.lookup(GATES, self.gate, "gate")(self.width)
        errors.lookup({"pre": None, "post": None}, self.norm, "norm placement")

    def prepare(self, x):
        return self.normalise(x) if self.norm == "pre" else x

    def add(self, x, mixed):
        y = x + self.gated(mixed)
        return self.normalise(y) if self.norm == "post" else y
