"""A sequence model of memorax in the reference agent. Needs: pip install memorax==1.0.1

memorax asks for protobuf < 7 (by way of neptune), so give it an environment of its own.
"""

import jax
from memorax.networks.sequence_models import LRUCell, Memoroid

from agents import sequence_models
from agents.cli import main as metaenvs
from agents.sequence_models import SequenceModel
from agents.sequence_models.base import ResidualBlock, check_width


class MemoraxLRU(SequenceModel):
    """memorax's linear recurrent unit (Orvieto et al. 2023) between our residual connections.

    Any `Memoroid` of memorax goes the same way. memorax has the batch first and empties the
    carry itself where its `mask` is set, before the element is read, as `reset` asks.
    """

    width: int = 64
    layers: int = 1

    def setup(self):
        self.memories = [Memoroid(self._cell()) for _ in range(self.layers)]
        self.blocks = [ResidualBlock(self.width) for _ in range(self.layers)]

    def _cell(self, **where):
        return LRUCell(features=self.width, hidden_dim=self.width, **where)

    def init_carry(self, batch: int):
        cell = self._cell(parent=None)
        empty = cell.initialize_carry(jax.random.key(0), (batch, self.width))
        return tuple(jax.tree.map(lambda x: x.copy(), empty) for _ in range(self.layers))

    def __call__(self, carry, x, reset):
        check_width(self.width, x)
        carries, reset = [], reset.swapaxes(0, 1)
        for memory, block, h in zip(self.memories, self.blocks, carry, strict=True):
            h, mixed = memory(block.normalise(x).swapaxes(0, 1), reset, h)
            carries.append(h)
            x = block.add(x, mixed.swapaxes(0, 1))
        return tuple(carries), x

    def step(self, constants, carry, x, reset):
        carry, y = self(carry, x[None], reset[None])
        return carry, y[0]


def main(
    steps: int = 1_000_000, out: str = "runs/example-memorax", settings: tuple[str, ...] = ()
) -> None:
    sequence_models.MODELS["memorax-lru"] = MemoraxLRU
    command = ["train", "--preset", "demo", "--model.memory", "memorax-lru"]
    metaenvs([*command, "--steps", str(steps), "--out", out, "--resume", *settings])


if __name__ == "__main__":
    main()
