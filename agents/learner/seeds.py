"""Several runs that differ in their seed alone, trained by one program."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from agents.learner.trainer import Trainer, TrainState
from metaenvs import keys


class Seeds:
    """The programs of `trainer` for all `seeds` at once.

    On accelerators states and metrics have a leading axis of seeds. On a CPU, which one seed
    keeps as busy as several do, or with a single seed they are tuples with an item for each,
    and the programs are the trainer's own, compiled once.
    """

    def __init__(self, trainer: Trainer, seeds: Sequence[int]):
        self.trainer = trainer
        self.seeds = tuple(seeds)
        self.batched = len(self.seeds) > 1 and jax.default_backend() != "cpu"

    def init(self) -> Any:
        """The states before the first update.

        One after the other: under `jax.vmap` the QR decompositions of orthogonal weights become
        batched ones. On a CPU each of these spreads over XLA's threads and waits there, so that
        as many at once as there are threads wait for each other forever (jaxlib 0.10).
        """
        return self.join([self.trainer.init_from(keys.key(seed)) for seed in self.seeds])

    def update(self, state: Any) -> tuple[Any, Any]:
        """One update of every seed: the states, and what to log."""
        if self.batched:
            return self._update(state)
        states, metrics = zip(*[self.trainer.update(each) for each in state], strict=True)
        return states, metrics

    def split(self, tree: Any) -> list[Any]:
        """Of a state or of metrics, those of each seed."""
        return self._split(tree) if self.batched else list(tree)

    def join(self, states: Sequence[TrainState]) -> Any:
        """Inverse of `split`."""
        return self._join(states) if self.batched else tuple(states)

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
