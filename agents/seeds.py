"""Several runs that differ in their seed alone, trained by one program."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from agents.train import Trainer, TrainState


class Seeds:
    """The programs of `trainer` for all `seeds` at once.

    States and metrics have a leading axis of seeds. With a single seed there is no such
    axis, and the programs are the trainer's own.
    """

    def __init__(self, trainer: Trainer, seeds: Sequence[int]):
        self.trainer = trainer
        self.seeds = tuple(seeds)

    def init(self) -> TrainState:
        """The states before the first update.

        One after the other: under `jax.vmap` the QR decompositions of orthogonal weights become
        batched ones. On a CPU each of these spreads over XLA's threads and waits there, so that
        as many at once as there are threads wait for each other forever (jaxlib 0.10).
        """
        return self.join([self.trainer.init_from(jax.random.key(seed)) for seed in self.seeds])

    def update(self, state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update of every seed."""
        if len(self.seeds) == 1:
            return self.trainer.update(state)
        return self._update(state)

    def split(self, tree: Any) -> list[Any]:
        """Of a state or of metrics, those of each seed."""
        return [tree] if len(self.seeds) == 1 else self._split(tree)

    def join(self, states: Sequence[TrainState]) -> TrainState:
        """Inverse of `split`."""
        return states[0] if len(states) == 1 else self._join(states)

    @partial(jax.jit, static_argnums=0, donate_argnums=1)
    def _update(self, state):
        state, metrics = jax.vmap(self.trainer.update)(state)
        return self._placed(state), metrics

    @partial(jax.jit, static_argnums=0)
    def _split(self, tree):
        return [jax.tree.map(lambda x, i=i: x[i], tree) for i in range(len(self.seeds))]

    @partial(jax.jit, static_argnums=0)
    def _join(self, states):
        return self._placed(jax.tree.map(lambda *x: jnp.stack(x), *states))

    def _placed(self, state):
        def along_seeds(place):
            return NamedSharding(place.mesh, PartitionSpec(None, *place.spec))

        places = jax.tree.map(along_seeds, self.trainer.places(state))
        return jax.lax.with_sharding_constraint(state, places)
