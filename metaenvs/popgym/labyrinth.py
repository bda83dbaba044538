"""Find the way through a maze of which nine cells are in sight."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs.dispatch import only_where
from metaenvs.popgym import chance, grid, maze
from metaenvs.popgym.base import Game, GameParams, GameState, at
from metaenvs.popgym.maze import Digger
from metaenvs.spaces import MultiDiscrete

FREE, OBSTACLE, START, GOAL, HIDDEN = range(5)
LEFT, RIGHT, UP, DOWN, NONE = range(5)


class LabyrinthState(GameState):
    """Where the player is, in which maze.

    `open`, `explored`: cells that are no obstacle, and those the player has been at, as
    `metaenvs.popgym.grid` keeps them. `start`, `goal`, `position`: (y, x), each `[2]`.
    `action`: the last one. `unexplored`: open cells that the player has not been at; `free`:
    how many they were at the start. `next`: the next episode's maze, under construction.
    """

    open: jax.Array
    explored: jax.Array
    start: jax.Array
    goal: jax.Array
    position: jax.Array
    action: jax.Array
    unexplored: jax.Array
    free: jax.Array
    next: Digger


class LabyrinthParams(GameParams):
    """An episode's time limit is one step less than `max_episode_length`, as in popgym."""

    max_episode_length: int = 1024


class Labyrinth(Game):
    """A maze that the player sees nine cells of, POPGym's `MazeEnv`.

    The maze has (`maze_size` / 2)^2 rooms and `maze_size` + 1 cells on a side; see
    `metaenvs.popgym.maze`. The player starts in an entrance on the border, a cell called
    START; the game may have a GOAL in the opposite border.

    - Action, Discrete(4): a step left, right, up or down; obstacles and the border of the
      board are not passed.
    - Observation, MultiDiscrete([5] * 10): the 3 x 3 cells around the player row by row
      (free 0, obstacle 1, start 2, goal 3; 4 is never seen), and the last action, 4 at the
      start. In the top row and the left column the cells in sight are moved by one, so that
      the player is at their edge, and beyond the board are obstacles, as in popgym.
    - Truncated after `max_episode_length` - 1 steps.

    One passage of the next episode's maze is dug at every step, so that a start, which
    needs up to eighty of them, costs no more than other steps; an episode that is shorter
    digs the rest when it ends.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.core.maze`; mazelib 0.9,
    `HuntAndKill`.
    """

    has_goal: bool

    def __init__(self, maze_size: int = 10, params: LabyrinthParams | None = None):
        super().__init__(LabyrinthParams() if params is None else params)
        if maze_size % 2 or not 6 <= maze_size <= 30:
            raise ValueError(f"maze_size must be even and in 6..30, got {maze_size}")
        self.rooms = maze_size // 2

    def initial_state(self, seed: jax.Array, params: LabyrinthParams) -> LabyrinthState:
        return self._start_next(seed, maze.begin(chance.fold(seed, 0), self.rooms))

    def _enter(self, seed: jax.Array, digger: Digger) -> LabyrinthState:
        start, goal = maze.entrances(chance.fold(seed, 0), self.rooms)
        free = grid.count(digger.open)
        # Cells that popgym opens: the start, and the goal where the game has one.
        opened = grid.with_cell(digger.open, *start)
        if self.has_goal:
            opened = grid.with_cell(opened, *goal)
        return LabyrinthState(
            time=jnp.zeros((), jnp.int32),
            open=opened,
            explored=grid.with_cell(grid.empty(len(opened)), *start),
            start=start,
            goal=goal,
            position=start,
            action=jnp.full((), NONE, jnp.int32),
            unexplored=free,
            free=free,
            next=maze.begin(chance.fold(seed, 1), self.rooms),
        )

    def next_episode(
        self, seed: jax.Array, over: jax.Array, state: LabyrinthState, params: LabyrinthParams
    ) -> LabyrinthState:
        return only_where(over, self._start_next, state, seed, state.next)

    def _start_next(self, seed: jax.Array, digger: Digger) -> LabyrinthState:
        return self._enter(chance.fold(seed, 2), maze.finish(chance.fold(seed, 1), digger))

    def advance(
        self, seed: jax.Array, state: LabyrinthState, action: jax.Array, params: LabyrinthParams
    ) -> tuple[LabyrinthState, jax.Array]:
        y, x = state.position
        last = 2 * self.rooms
        to_y = jnp.clip(y + (action == DOWN) - (action == UP), 0, last)
        to_x = jnp.clip(x + (action == RIGHT) - (action == LEFT), 0, last)
        passed = grid.cell(state.open, to_y, to_x)
        y, x = jnp.where(passed, to_y, y), jnp.where(passed, to_x, x)
        new = ~grid.cell(state.explored, y, x)
        state = state.replace(
            explored=grid.with_cell(state.explored, y, x),
            position=jnp.stack([y, x]),
            action=action,
            unexplored=state.unexplored - new,
            next=self._dug(seed, state.next),
        )
        return state, self.reward(state, new, params)

    def _dug(self, seed: jax.Array, digger: Digger) -> Digger:
        more = digger.dug < maze.passages(self.rooms)
        return only_where(more, maze.dig, digger, seed, digger)

    def reward(self, state: LabyrinthState, new: jax.Array, params: LabyrinthParams) -> jax.Array:
        """Of having arrived in `state`, at a cell that is `new`."""
        raise NotImplementedError

    def observation(self, state: LabyrinthState, params: LabyrinthParams) -> jax.Array:
        top, left = jnp.maximum(state.position - 1, 0)
        window = []
        for dy in range(3):
            row, y = at(state.open, top + dy), top + dy
            for dx in range(3):
                x = left + dx
                cell = jnp.where((row >> x.astype(jnp.uint32)) & 1 == 1, FREE, OBSTACLE)
                cell = jnp.where((y == state.start[0]) & (x == state.start[1]), START, cell)
                if self.has_goal:
                    cell = jnp.where((y == state.goal[0]) & (x == state.goal[1]), GOAL, cell)
                # At the top and the left popgym pads instead of showing a third row.
                beyond = (y > state.position[0] + 1) | (x > state.position[1] + 1)
                window.append(jnp.where(beyond, OBSTACLE, cell))
        return jnp.stack([*window, state.action])

    def is_truncated(self, state: LabyrinthState, params: LabyrinthParams) -> jax.Array:
        return state.time == params.max_episode_length - 1

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(4)

    def observation_space(self, params: Any = None) -> MultiDiscrete:
        return MultiDiscrete((5,) * 10)


class LabyrinthEscape(Labyrinth):
    """POPGym's LabyrinthEscape: find the exit in the side opposite to the entrance.

    Reward, with L = `max_episode_length`: -1 / L for every step, and 1 more for the one to
    the goal, which terminates the episode. Else as `Labyrinth`.

    Source: popgym 1.0.7, `popgym.envs.labyrinth_escape`.
    """

    has_goal = True

    def reward(self, state: LabyrinthState, new: jax.Array, params: LabyrinthParams) -> jax.Array:
        return self.is_terminated(state, params) - 1.0 / params.max_episode_length

    def is_terminated(self, state: LabyrinthState, params: LabyrinthParams) -> jax.Array:
        return jnp.all(state.position == state.goal)


class LabyrinthExplore(Labyrinth):
    """POPGym's LabyrinthExplore: visit every cell.

    Reward: 1 / free for a step to a cell not visited before, where `free` is the number of
    cells without the start; -1 / `max_episode_length` for any other step. Terminated when
    all are visited. The cell opposite the start stays an obstacle. Else as `Labyrinth`.

    Source: popgym 1.0.7, `popgym.envs.labyrinth_explore`.
    """

    has_goal = False

    def reward(self, state: LabyrinthState, new: jax.Array, params: LabyrinthParams) -> jax.Array:
        return jnp.where(new, 1.0 / state.free, -1.0 / params.max_episode_length)

    def is_terminated(self, state: LabyrinthState, params: LabyrinthParams) -> jax.Array:
        return state.unexplored == 0
