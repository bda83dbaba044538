"""Clear a minefield that is not shown."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs.popgym import chance, grid
from metaenvs.popgym.base import Game, GameState
from metaenvs.spaces import MultiDiscrete


class MineSweeperState(GameState):
    """Boards of the `mines` and the cells `viewed`, as `metaenvs.popgym.grid` keeps them.

    `clear`: cells without a mine that are still to view; `exploded`: whether the last
    cell chosen was a mine; `near`: mines around the last cell and on it.
    """

    mines: jax.Array
    viewed: jax.Array
    clear: jax.Array
    exploded: jax.Array
    near: jax.Array


class MineSweeper(Game):
    """POPGym's MineSweeper: view all cells without a mine, told only the mines nearby.

    - Action, MultiDiscrete([size, size]): row and column of the cell to view.
    - Observation, Discrete(min(mines + 1, 10)): mines among the cell just chosen and its
      eight neighbours; 0 at the start. The cell is not shown: a player needs its previous
      action.
    - Reward, with n cells without a mine: 1 / n for such a cell, -0.5 / (n - 2) for one
      viewed before, -0.5 - 1 / n for a mine.
    - Start: mines uniform over the board.
    - Terminated at a mine, or when all n cells are viewed; truncated after n steps unless
      terminated.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.minesweeper`.
    """

    def __init__(self, board_size: int = 4, num_mines: int = 2):
        super().__init__()
        self.board_size = board_size
        self.num_mines = num_mines
        self.num_clear = board_size**2 - num_mines

    def initial_state(self, seed: jax.Array, params: Any) -> MineSweeperState:
        words, cells = chance.words(seed, self.num_mines), self.board_size**2
        # Floyd's sample without replacement: draw among one cell more each time, and take
        # the newest one instead of a cell that is taken.
        taken: list[jax.Array] = []
        for i in range(self.num_mines):
            newest = cells - self.num_mines + i
            drawn = chance.below(words[i], newest + 1)
            again = jnp.zeros((), bool)
            for mine in taken:
                again = again | (drawn == mine)
            taken.append(jnp.where(again, newest, drawn))
        mines = grid.empty(self.board_size)
        for mine in taken:
            mines = grid.with_cell(mines, mine // self.board_size, mine % self.board_size)
        zero = jnp.zeros((), jnp.int32)
        return MineSweeperState(
            time=zero,
            mines=mines,
            viewed=grid.empty(self.board_size),
            clear=jnp.full((), self.num_clear, jnp.int32),
            exploded=jnp.zeros((), bool),
            near=zero,
        )

    def advance(
        self, seed: jax.Array, state: MineSweeperState, action: jax.Array, params: Any
    ) -> tuple[MineSweeperState, jax.Array]:
        y, x = action
        mine, again = grid.cell(state.mines, y, x), grid.cell(state.viewed, y, x)
        reward = jnp.where(
            mine,
            -0.5 - 1.0 / self.num_clear,
            jnp.where(again, -0.5 / (self.num_clear - 2), 1.0 / self.num_clear),
        )
        # Bits x - 1, x and x + 1 of the rows y - 1, y and y + 1.
        close = jnp.abs(jnp.arange(self.board_size) - y) <= 1
        window = (jnp.uint32(0b111) << x.astype(jnp.uint32)) >> 1
        state = state.replace(
            viewed=grid.with_cell(state.viewed, y, x),
            clear=state.clear - (~mine & ~again),
            exploded=mine,
            near=grid.count(jnp.where(close, state.mines & window, 0)),
        )
        return state, reward

    def observation(self, state: MineSweeperState, params: Any) -> jax.Array:
        return state.near

    def is_terminated(self, state: MineSweeperState, params: Any) -> jax.Array:
        return state.exploded | (state.clear == 0)

    def is_truncated(self, state: MineSweeperState, params: Any) -> jax.Array:
        return (state.time == self.num_clear) & ~self.is_terminated(state, params)

    def action_space(self, params: Any = None) -> MultiDiscrete:
        return MultiDiscrete((self.board_size, self.board_size))

    def observation_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(min(self.num_mines + 1, 10))
