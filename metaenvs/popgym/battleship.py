"""Find ships by asking for cells, without a board to look at."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs.popgym import chance, grid
from metaenvs.popgym.base import Game, GameState
from metaenvs.spaces import MultiDiscrete


class BattleshipState(GameState):
    """Boards of the `ships` and the cells `guessed`, as `metaenvs.popgym.grid` keeps them.

    `hits`: cells of ships found; `hit`: whether the last guess was one.
    """

    ships: jax.Array
    guessed: jax.Array
    hits: jax.Array
    hit: jax.Array


class Battleship(Game):
    """POPGym's Battleship: sink all ships, told only whether each guess was a hit.

    - Action, MultiDiscrete([size, size]): row and column to guess.
    - Observation, Discrete(2): whether the last guess hit a cell of a ship for the first
      time; 0 at the start. The cell is not shown: a player needs its previous action.
    - Reward: with n cells of ships, 1 / n for a hit, else -1 / (size^2 - n), for a cell
      guessed before too.
    - Start: the ships, one after the other, each uniform over all places in a row or a
      column that are free of the ships before it. Ships may touch.
    - Terminated when all cells of ships are hit; truncated after size^2 guesses. Both may
      be true.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.battleship`.
    """

    dear_start = True

    def __init__(self, board_size: int = 10, ship_sizes: Sequence[int] = (2, 3, 3, 4)):
        super().__init__()
        self.board_size = board_size
        self.ship_sizes = tuple(ship_sizes)
        self.needed_hits = sum(ship_sizes)

    def initial_state(self, seed: jax.Array, params: Any) -> BattleshipState:
        ships = grid.empty(self.board_size)
        for word, length in zip(
            chance.words(seed, len(self.ship_sizes)), self.ship_sizes, strict=True
        ):
            ships = self._with_ship(word, ships, length)
        zero = jnp.zeros((), jnp.int32)
        return BattleshipState(
            time=zero, ships=ships, guessed=grid.empty(self.board_size), hits=zero, hit=zero
        )

    def _with_ship(self, word: jax.Array, ships: jax.Array, length: int) -> jax.Array:
        # popgym draws ends and directions until a ship fits, which is uniform over the
        # places where it fits: each has two ends. Here those places are listed.
        size = self.board_size
        free = ~ships & jnp.uint32((1 << size) - 1)
        padded = jnp.concatenate([free, jnp.zeros(length - 1, jnp.uint32)])
        across, down = free, free
        for i in range(1, length):
            across = across & (free >> i)
            down = down & padded[i : i + size]
        y, x = grid.random_cell(word, jnp.concatenate([across, down]), size)
        row, column = jnp.arange(size), x.astype(jnp.uint32)
        lying = jnp.where(row == y, jnp.uint32((1 << length) - 1), 0)
        standing = ((row >= y - size) & (row < y - size + length)).astype(jnp.uint32)
        return ships | (jnp.where(y < size, lying, standing) << column)

    def advance(
        self, seed: jax.Array, state: BattleshipState, action: jax.Array, params: Any
    ) -> tuple[BattleshipState, jax.Array]:
        y, x = action
        hit = grid.cell(state.ships & ~state.guessed, y, x)
        reward = jnp.where(
            hit, 1.0 / self.needed_hits, -1.0 / (self.board_size**2 - self.needed_hits)
        )
        hit = hit.astype(jnp.int32)
        guessed = grid.with_cell(state.guessed, y, x)
        return state.replace(guessed=guessed, hits=state.hits + hit, hit=hit), reward

    def observation(self, state: BattleshipState, params: Any) -> jax.Array:
        return state.hit

    def is_terminated(self, state: BattleshipState, params: Any) -> jax.Array:
        return state.hits == self.needed_hits

    def is_truncated(self, state: BattleshipState, params: Any) -> jax.Array:
        return state.time >= self.board_size**2

    def action_space(self, params: Any = None) -> MultiDiscrete:
        return MultiDiscrete((self.board_size, self.board_size))

    def observation_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(2)
