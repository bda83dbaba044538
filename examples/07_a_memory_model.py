"""A memory of your own in the reference agent: averages that fade at different speeds."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from agents import sequence_models
from agents.cli import main as metaenvs
from agents.sequence_models import SequenceModel, wipe
from agents.sequence_models.base import ResidualBlock, check_width


class FadingAverages(SequenceModel):
    """h = decay h + (1 - decay) W x, with fixed decays from 0.5 to 0.999; carry `[B, width]`."""

    width: int = 64
    layers: int = 1  # the agents' setting; this model has one

    def setup(self):
        self.write, self.block = nn.Dense(self.width), ResidualBlock(self.width)

    def init_carry(self, batch: int) -> jax.Array:
        return jnp.zeros((batch, self.width))

    def advance(self, h, inputs):
        written, reset = inputs
        decay = 1.0 - jnp.geomspace(0.5, 0.001, self.width)
        h = decay * wipe(h, reset) + (1.0 - decay) * written  # emptied before x is read
        return h, h

    def __call__(self, carry, x, reset):  # whole sequences [T, B, width], to learn from
        check_width(self.width, x)
        written = self.write(self.block.normalise(x))
        carry, h = jax.lax.scan(self.advance, carry, (written, reset))
        return carry, self.block.add(x, h)

    def step(self, constants, carry, x, reset):  # one element [B, width], to act
        carry, h = self.advance(carry, (self.write(self.block.normalise(x)), reset))
        return carry, self.block.add(x, h)


def main(
    steps: int = 1_000_000, out: str = "runs/example-fading", settings: tuple[str, ...] = ()
) -> None:
    sequence_models.MODELS["fading"] = FadingAverages
    command = ["train", "--preset", "demo", "--model.memory", "fading", "--model.layers", "1"]
    metaenvs([*command, "--steps", str(steps), "--out", out, "--resume", *settings])


if __name__ == "__main__":
    main()
