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


class ResidualBlock(nn.Module):
    """x + GLU(GELU(mix(LayerNorm(x)))): S5's block, whatever does the mixing.

    The gate is that of Smith et al. 2023: z * sigmoid(W z + w), with z = GELU(mix(..)). Use as
    `block.add(x, mix(block.normalise(x)))`; all shapes [..., width].
    """

    width: int

    def setup(self):
        self.norm = nn.LayerNorm()
        self.gate = nn.Dense(self.width)

    def normalise(self, x):
        return self.norm(x)

    def add(self, x, mixed):
        z = nn.gelu(mixed)
        return x + z * nn.sigmoid(self.gate(z))
