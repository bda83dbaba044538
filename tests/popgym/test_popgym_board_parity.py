"""The games on boards beside popgym's: our boards in both, the same actions."""

from collections import deque
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import popgym.core.maze as popgym_maze
import pytest

from metaenvs.popgym import LEVELS, grid, make

GAMES = ("Battleship", "Concentration", "LabyrinthEscape", "LabyrinthExplore", "MineSweeper")
PLAYED = [
    *((f"popgym-{game}Medium-v0", 5) for game in GAMES),
    *(
        pytest.param(f"popgym-{game}{level}-v0", 200, marks=pytest.mark.slow)
        for game in GAMES
        for level in LEVELS
    ),
]


def play_reference(their, actions):
    """An episode of popgym's to its end, or to the end of `actions`."""
    observation, _ = their.reset()
    seen = {"observation": [observation], "reward": [], "terminated": [], "truncated": []}
    for action in actions:
        observation, reward, terminated, truncated, _ = their.step(action)
        for name, value in (
            ("observation", observation),
            ("reward", reward),
            ("terminated", terminated),
            ("truncated", truncated),
        ):
            seen[name].append(value)
        if terminated or truncated:
            break
    return {name: np.array(values) for name, values in seen.items()}


def check_same(ours, i, theirs):
    """Episode `i` of ours, up to the end of theirs, and that it is over then."""
    steps = len(theirs["reward"])
    np.testing.assert_array_equal(ours.observation[i, : steps + 1], theirs["observation"])
    np.testing.assert_allclose(ours.reward[i, :steps], theirs["reward"], rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(ours.terminated[i, :steps], theirs["terminated"])
    np.testing.assert_array_equal(ours.truncated[i, :steps], theirs["truncated"])
    assert theirs["terminated"][-1] or theirs["truncated"][-1]


def pick(word, wanted, size):
    """A cell of the board `wanted`, or where it is empty any cell; `word` in [0, 1)."""
    some = jnp.where(grid.count(wanted) > 0, wanted, jnp.uint32((1 << size) - 1))
    word = (word * jnp.float32(2**32)).astype(jnp.uint32)
    return jnp.stack(grid.random_cell(word, some, size))


def sink(state, plan):
    """One guess in two at a ship; how much is luck differs between episodes."""
    size = len(state.ships)
    aim = plan[0] < plan[2]
    target = jnp.where(aim, state.ships & ~state.guessed, jnp.uint32((1 << size) - 1))
    return pick(plan[1], target, size)


def sweep(state, plan):
    """Mostly cells that are safe and new, else any."""
    size = len(state.mines)
    everywhere = jnp.full(size, (1 << size) - 1, jnp.uint32)
    safe = everywhere & ~state.mines & ~state.viewed
    seen = jnp.where(grid.count(state.viewed) > 0, state.viewed, safe)
    wanted = jnp.where(plan[0] < plan[2], safe, jnp.where(plan[0] < 0.97, seen, everywhere))
    return pick(plan[1], wanted, size)


def remember(state, plan):
    """The partner of the first card if it was seen, else a card not seen, else any."""
    n = len(state.cards)
    cards, index = state.cards, jnp.arange(n)
    first = jnp.maximum(state.first, 0)
    mate = (cards == cards[first]) & ~state.matched & (index != first) & (state.first >= 0)
    candidates = jnp.where(jnp.any(mate), mate, ~state.matched & (index != state.first))
    candidates = jnp.where(plan[0] < plan[2], candidates, True)
    place = (plan[1] * jnp.sum(candidates)).astype(jnp.int32)
    return jnp.argmax(jnp.cumsum(candidates) > place).astype(jnp.int32)


def episodes_of(run, env_id, episodes, steps, policy):
    """Episodes whose skill, the third number of the plan, goes from none to perfect."""
    plan = np.random.default_rng(1).random((episodes, steps, 3)).astype(np.float32)
    plan[..., 2] = np.linspace(0.0, 1.001, episodes)[:, None]
    return run(env_id, 0, plan, policy)


def board_of(rows, size):
    return grid.to_array(rows, size).astype(np.int8)


def check_battleship(env_id, episodes, run, reference, script):
    their, env = reference(env_id), make(env_id)
    size = env.board_size
    ours = episodes_of(run, env_id, episodes, size**2, sink)
    for i in range(episodes):
        board = board_of(ours.states.ships[i, 0], size)
        their.place_ship = lambda _, length, board=board: board.copy()
        check_same(ours, i, play_reference(their, ours.action[i]))
    return ours


def check_minesweeper(env_id, episodes, run, reference, script):
    their, env = reference(env_id), make(env_id)
    size = env.board_size
    ours = episodes_of(run, env_id, episodes, env.num_clear, sweep)
    for i in range(episodes):
        mines = np.flatnonzero(board_of(ours.states.mines[i, 0], size))
        their.np_random = script(choice=[mines])
        check_same(ours, i, play_reference(their, ours.action[i]))
    return ours


def check_concentration(env_id, episodes, run, reference, script):
    their, env = reference(env_id), make(env_id)
    ours = episodes_of(run, env_id, episodes, env.episode_length, remember)
    for i in range(episodes):
        over = np.flatnonzero(ours.terminated[i] | ours.truncated[i])[0] + 1
        observation = ours.observation[i, : over + 1]
        # The cards that were ever face up are known, the rest is any rest of the deck.
        deck = list(np.argsort(their.deck_idx_type, kind="stable"))
        order = np.full(env.num_cards, -1)
        turned = observation != env.kinds
        kind = np.where(turned, observation, -1).max(axis=0)
        for place in np.flatnonzero(kind >= 0):
            card = next(c for c in deck if their.deck_idx_type[c] == kind[place])
            deck.remove(card)
            order[place] = card
        order[order < 0] = deck
        their.np_random = script(shuffle=[order])
        check_same(ours, i, play_reference(their, ours.action[i]))
    return ours


MOVES = {0: (0, -1), 1: (0, 1), 2: (-1, 0), 3: (1, 0)}  # popgym's left, right, up, down


def way_to(is_open, position, wanted):
    """The first move of a shortest way to the nearest wanted cell."""
    came = {position: None}
    queue = deque([position])
    while queue:
        cell = queue.popleft()
        if wanted[cell] and cell != position:
            while came[cell][0] != position:
                cell = came[cell][0]
            return came[cell][1]
        for action, (dy, dx) in MOVES.items():
            y, x = cell[0] + dy, cell[1] + dx
            inside = 0 <= y < len(is_open) and 0 <= x < len(is_open)
            if inside and is_open[y, x] and (y, x) not in came:
                came[y, x] = (cell, action)
                queue.append((y, x))
    return 0


def walk(is_open, start, goal, steps, skill, random):
    """Actions to the goal, or without a goal to all cells, and some at random."""
    position, actions = start, []
    wanted = np.zeros_like(is_open) if goal else is_open.copy()
    wanted[goal or start] = bool(goal)
    for _ in range(steps):
        clever = random.random() < skill
        action = way_to(is_open, position, wanted) if clever else int(random.integers(4))
        y, x = position[0] + MOVES[action][0], position[1] + MOVES[action][1]
        if 0 <= y < len(is_open) and 0 <= x < len(is_open) and is_open[y, x]:
            position = y, x
        if not goal:
            wanted[position] = False
        actions.append(action)
        if goal == position or not wanted.any():
            break
    return np.array(actions + [0] * (steps - len(actions)), np.int32)


def check_labyrinth(env_id, episodes, run, reference, script):
    their, env = reference(env_id), make(env_id)
    size, steps = 2 * env.rooms + 1, 1023
    plan = np.zeros((episodes, steps), np.int32)
    # Mazes do not depend on actions: look at them first.
    keys = jax.random.split(jax.random.key(0), episodes)
    first = jax.vmap(lambda key: env.reset(jax.random.split(key)[0])[1])(keys)
    starts, goals = np.asarray(first.start), np.asarray(first.goal)
    boards = board_of(first.open, size).astype(bool)
    random = np.random.default_rng(3)
    for i in range(episodes):
        goal = tuple(goals[i].tolist()) if env.has_goal else None
        # The least skilled walk at random, to the time limit.
        skill = 0.0 if i % 4 == 0 else random.uniform(0.5, 1.0)
        plan[i] = walk(boards[i], tuple(starts[i].tolist()), goal, steps, skill, random)
    ours = run(env_id, 0, plan)
    with pytest.MonkeyPatch.context() as patch:
        for i in range(episodes):
            walls = (~boards[i]).astype(np.int8)
            start, goal = tuple(starts[i].tolist()), tuple(goals[i].tolist())
            walls[start] = 1
            walls[goal] = 1

            def entrances(self, start_outer, start=start, goal=goal):
                self.start, self.end = start, goal

            patch.setattr(
                popgym_maze,
                "HuntAndKill",
                lambda *dims, walls=walls: SimpleNamespace(generate=walls.copy),
            )
            patch.setattr(popgym_maze.Maze, "generate_entrances", entrances)
            check_same(ours, i, play_reference(their, plan[i]))
    return ours


CHECKS = {
    "Battleship": check_battleship,
    "Concentration": check_concentration,
    "Labyrinth": check_labyrinth,
    "MineSweeper": check_minesweeper,
}


@pytest.mark.parametrize(("env_id", "episodes"), PLAYED)
def test_every_step_is_popgyms(env_id, episodes, run, reference, script):
    check = next(check for game, check in CHECKS.items() if f"popgym-{game}" in env_id)
    ours = check(env_id, episodes, run, reference, script)
    # Both ends of the game were met, and every kind of reward.
    assert ours.terminated.any() and ours.truncated.any()
    assert len(np.unique(ours.reward)) >= 2
