"""The memoryless baseline: what an agent can do without any context."""

from agents.sequence_models.base import ResidualBlock, SequenceModel, check_width
from agents.sequence_models.linear import Dense


class MLP(SequenceModel):
    """S5's residual blocks with a Dense layer in the place of the recurrence; the carry is `()`.

    width   size of the input, of the output and of everything between layers
    layers  number of residual blocks
    """

    layers: int = 4

    def setup(self):
        self.dense = [Dense(self.width) for _ in range(self.layers)]
        self.residual = [ResidualBlock(self.width) for _ in range(self.layers)]

    def init_carry(self, batch: int) -> tuple[()]:
        return ()

    def __call__(self, carry, x, reset):
        check_width(self.width, x)
        for block, dense in zip(self.residual, self.dense, strict=True):
            x = block.add(x, dense(block.prepare(x)))
        return carry, x

    def step(self, constants, carry, x, reset):
        # Nothing runs along time, so one element is a sequence without a time axis.
        return self(carry, x, reset)
