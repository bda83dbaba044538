"""Dynamics parameters that a trial may draw: factors on a task's physical constants."""

import jax
import jax.numpy as jnp
from flax import struct

from metaenvs import errors
from metaenvs.types import Scalar

SMALLEST, LARGEST = 0.5, 2.0
"""Factors allowed: between them every native task stays finite."""


class Dynamics(struct.PyTreeNode):
    """Factors on all constants of a kind; 1 leaves a task as it is.

    Which constants of a task belong to a kind its class says (`Task.dynamics`).
    """

    mass: Scalar = 1.0
    length: Scalar = 1.0
    damping: Scalar = 1.0
    gear: Scalar = 1.0
    gravity: Scalar = 1.0


KINDS: tuple[str, ...] = tuple(Dynamics.__dataclass_fields__)


class DynamicsRange(struct.PyTreeNode):
    """From where a trial's factors are drawn, uniformly and independently."""

    low: Dynamics
    high: Dynamics

    def sample(self, key: jax.Array) -> Dynamics:
        """One factor for each kind; exactly `low` where `low` equals `high`."""
        low, high = (jnp.stack(jax.tree.leaves(end)) for end in (self.low, self.high))
        uniform = jax.random.uniform(key, (len(KINDS),))
        return Dynamics(*(low + (high - low) * uniform).astype(jnp.float32))


def dynamics_range(ranges: dict[str, tuple[float, float]] | None = None) -> DynamicsRange:
    """The range in which each kind named in `ranges` lies in (low, high), others at 1.

    Raises:
        ValueError: unknown kind, low above high, or factors outside what is allowed.
    """
    ranges = ranges or {}
    for kind, (low, high) in ranges.items():
        if kind not in KINDS:
            raise errors.unknown(kind, KINDS, "kind of dynamics parameter")
        if not SMALLEST <= low <= high <= LARGEST:
            raise ValueError(
                f"range of {kind} is ({low}, {high}); "
                f"needed: {SMALLEST} <= low <= high <= {LARGEST}"
            )

    def end(i):
        values = {kind: float(pair[i]) for kind, pair in ranges.items()}
        return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), Dynamics(**values))

    return DynamicsRange(end(0), end(1))
