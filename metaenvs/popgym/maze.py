"""Mazes by hunt-and-kill, dug one passage at a time."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from metaenvs.popgym import chance, grid


class Digger(struct.PyTreeNode):
    """A maze under construction.

    `open`: the cells dug, as rows of bits of a board (`metaenvs.popgym.grid`) of
    2 `size` + 1 cells on a side; rooms have two odd coordinates, the cells between two
    rooms are passages. `y`, `x`: the room from which it goes on. `hunts`: rooms that may
    still be tried. `dug`: passages that were, or need not be, dug.
    """

    open: jax.Array
    y: jax.Array
    x: jax.Array
    hunts: jax.Array
    dug: jax.Array


def passages(size: int) -> int:
    """Calls of `dig` after which a maze of `size^2` rooms is finished."""
    return size**2 - 1


def begin(seed: jax.Array, size: int) -> Digger:
    """A maze of which one room is dug, uniform over all."""
    word_y, word_x = chance.words(seed, 2)
    y, x = 2 * chance.below(word_y, size) + 1, 2 * chance.below(word_x, size) + 1
    return Digger(
        open=grid.with_cell(grid.empty(2 * size + 1), y, x),
        y=y,
        x=x,
        hunts=jnp.full((), (2 * size + 1) ** 2, jnp.int32),
        dug=jnp.zeros((), jnp.int32),
    )


def dig(seed: jax.Array, digger: Digger) -> Digger:
    """One passage more, if the maze is not finished.

    Hunt-and-kill as in mazelib's random hunt: walk from room to room, each time to one of
    the neighbours not yet dug; where there is none, try rooms at random, (2 size + 1)^2 of
    them in a maze, and walk on from a dug one that has such a neighbour. The tries that
    fail are not made one by one: their number is geometric, and the room that ends them is
    uniform over the rooms from which a walk can go on. When the tries are used up, rooms
    can remain undug.
    """
    height = len(digger.open)
    size = height // 2
    rooms = np.where(np.arange(height) % 2, sum(1 << x for x in range(1, height, 2)), 0)
    rooms = rooms.astype(np.uint32)
    undug = ~digger.open & rooms
    no_row = jnp.zeros(2, jnp.uint32)
    beside = (
        (undug << 2)
        | (undug >> 2)
        | jnp.concatenate([undug[2:], no_row])
        | jnp.concatenate([no_row, undug[:-2]])
    )
    frontier = digger.open & rooms & beside
    word_hunt, word_room, word_way = chance.words(seed, 3)

    stuck = ~grid.cell(frontier, digger.y, digger.x)
    chosen_y, chosen_x = grid.random_cell(word_room, frontier, height)
    open_ends = grid.count(frontier)
    tries = _geometric(word_hunt, open_ends.astype(jnp.float32) / size**2)
    hunts = digger.hunts - jnp.where(stuck, tries, 0)
    going = (open_ends > 0) & (hunts >= 0)
    y, x = jnp.where(stuck, chosen_y, digger.y), jnp.where(stuck, chosen_x, digger.x)

    ways = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    possible = [grid.cell(undug, y + 2 * dy, x + 2 * dx) for dy, dx in ways]
    left = chance.below(word_way, sum(p.astype(jnp.int32) for p in possible))
    step_y, step_x = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    for (dy, dx), p in zip(ways, possible, strict=True):
        here = p & (left == 0)
        step_y, step_x = jnp.where(here, dy, step_y), jnp.where(here, dx, step_x)
        left = left - p
    dug = grid.with_cell(digger.open, y + step_y, x + step_x)
    dug = grid.with_cell(dug, y + 2 * step_y, x + 2 * step_x)
    return Digger(
        open=jnp.where(going, dug, digger.open),
        y=jnp.where(going, y + 2 * step_y, digger.y),
        x=jnp.where(going, x + 2 * step_x, digger.x),
        # Used up for good: a later, luckier number of tries must not go on.
        hunts=jnp.where(going, hunts, -1),
        dug=digger.dug + 1,
    )


def finish(seed: jax.Array, digger: Digger) -> Digger:
    """The maze with all its passages."""
    total = passages(len(digger.open) // 2)
    return jax.lax.while_loop(
        lambda d: d.dug < total, lambda d: dig(chance.fold(seed, d.dug), d), digger
    )


def entrances(seed: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """Start and end (y, x), each `[2]`: beside a room, on opposite sides of the maze."""
    word_side, word_start, word_end = chance.words(seed, 3)
    side, last = chance.below(word_side, 4), 2 * size
    start_at, end_at = (2 * chance.below(word, size) + 1 for word in (word_start, word_end))
    edge = jnp.where(side % 2, last, 0)
    horizontal = side < 2  # start in the top or bottom row

    def place(edge, along):
        return jnp.stack([jnp.where(horizontal, edge, along), jnp.where(horizontal, along, edge)])

    return place(edge, start_at), place(last - edge, end_at)


def _geometric(word: jax.Array, p: jax.Array) -> jax.Array:
    """Tries up to and with the first success, of probability `p`."""
    failure = jnp.maximum(chance.unit(word), np.float32(2**-25))
    return jnp.floor(jnp.log(failure) / jnp.log1p(-p)).astype(jnp.int32) + 1
