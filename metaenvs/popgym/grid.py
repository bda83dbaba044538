"""Square boards of one bit per cell: row y is a 32-bit word of which bit x is cell (y, x)."""

import jax
import jax.numpy as jnp
import numpy as np

from metaenvs.popgym import chance
from metaenvs.popgym.base import at, one_hot


def empty(size: int) -> jax.Array:
    """uint32 rows `[size]` of a board of which no cell is set."""
    return jnp.zeros(size, jnp.uint32)


def cell(rows: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Whether cell (y, x) is set; False outside of the board."""
    return (at(rows, y) >> x.astype(jnp.uint32)) & 1 == 1


def with_cell(rows: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """`rows` with cell (y, x) set."""
    return rows | (one_hot(y, len(rows), jnp.uint32) << x.astype(jnp.uint32))


def count(rows: jax.Array) -> jax.Array:
    """Number of cells set."""
    return sum((_count(rows[y]) for y in range(len(rows))), _zero())


def random_cell(word: jax.Array, rows: jax.Array, width: int) -> tuple[jax.Array, jax.Array]:
    """(y, x) uniform over the cells set; beyond the board if there is none."""
    counts = [_count(rows[y]) for y in range(len(rows))]
    place = chance.below(word, sum(counts))
    y, passed, before = _zero(), _zero(), _zero()
    for row_count in counts:
        passed = passed + row_count
        y = y + (place >= passed)
        before = jnp.where(place >= passed, passed, before)
    row, left = at(rows, y), place - before
    x, passed = _zero(), _zero()
    for i in range(width):
        passed = passed + ((row >> i) & 1).astype(jnp.int32)
        x = x + (left >= passed)
    return y, x


def to_array(rows: np.ndarray, width: int) -> np.ndarray:
    """bool `[..., size, width]`, in NumPy, of rows `[..., size]`."""
    return (np.asarray(rows)[..., None] >> np.arange(width, dtype=np.uint32) & 1).astype(bool)


def _count(row: jax.Array) -> jax.Array:
    return jax.lax.population_count(row).astype(jnp.int32)


def _zero() -> jax.Array:
    return jnp.zeros((), jnp.int32)
