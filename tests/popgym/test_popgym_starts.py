"""Boards at the start of episodes: as popgym's in distribution."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mazelib import Maze
from mazelib.generate.HuntAndKill import HuntAndKill
from scipy import stats

from metaenvs.popgym import chance, grid, make, maze


def starts(env_id, episodes, seed=0):
    env = make(env_id)
    return jax.vmap(lambda key: env.reset(key)[1])(jax.random.split(jax.random.key(seed), episodes))


def same_frequencies(ours, theirs, least=5):
    """p of a chi-square test that integers `ours` and `theirs` have one distribution."""
    size = int(max(ours.max(), theirs.max())) + 1
    table = np.stack([np.bincount(x.ravel().astype(int), minlength=size) for x in (ours, theirs)])
    rare = table.sum(axis=0) < 2 * least
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    return stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue


@pytest.mark.parametrize("level", ["Easy", "Hard"])
def test_ships(level, reference):
    env_id = f"popgym-Battleship{level}-v0"
    their, env = reference(env_id), make(env_id)
    size, episodes = env.board_size, 3000
    ours = grid.to_array(starts(env_id, episodes).ships, size)
    their.reset(seed=0)
    theirs = np.array([their.reset() and their.board.copy() for _ in range(episodes)]) > 0
    assert (ours.sum(axis=(1, 2)) == sum(env.ship_sizes)).all()
    cells = np.arange(size**2).reshape(size, size)
    where = [np.concatenate([cells[b] for b in boards]) for boards in (ours, theirs)]
    # Cells of a ship are not independent: a chi-square of counts per cell would be strict,
    # so single draws of a cell per board are compared.
    draw = np.random.default_rng(1)
    rows = np.arange(episodes)
    one = [x.reshape(episodes, -1)[rows, draw.integers(12, size=episodes)] for x in where]
    assert same_frequencies(*one) > 1e-3
    for feature in (
        lambda b: (b[:, 1:] & b[:, :-1]).sum(axis=(1, 2)),  # neighbours in a column
        lambda b: (b[..., 1:] & b[..., :-1]).sum(axis=(1, 2)),  # in a row
        lambda b: b.any(axis=2).sum(axis=1),  # rows with ships
        lambda b: b[:, [0, -1]].sum(axis=(1, 2)),  # cells at two edges
        lambda b: b[:, size // 2, size // 2],
    ):
        assert same_frequencies(feature(ours), feature(theirs)) > 1e-3


def test_one_ship_is_uniform_over_its_places():
    env = make("popgym-BattleshipEasy-v0")
    put = jax.vmap(lambda word: env._with_ship(word, grid.empty(8), 3))
    words = jax.vmap(lambda s: chance.words(s, 1)[0])(
        jax.random.bits(jax.random.key(0), (20_000, 2), jnp.uint32)
    )
    boards, counts = np.unique(np.asarray(put(words)), axis=0, return_counts=True)
    assert len(boards) == 2 * 8 * 6
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("level", ["Easy", "Medium", "Hard"])
def test_mines(level):
    env = make(f"popgym-MineSweeper{level}-v0")
    size, episodes = env.board_size, 20_000
    board = grid.to_array(starts(f"popgym-MineSweeper{level}-v0", episodes).mines, size)
    board = board.reshape(episodes, -1)
    assert (board.sum(axis=1) == env.num_mines).all()
    # Uniform over all sets of that many cells: the means and covariances that such sets have.
    n, m = size**2, env.num_mines
    pairs = board.astype(float).T @ board / episodes
    p, q = m / n, m * (m - 1) / (n * (n - 1))
    z = (np.diag(pairs) - p) / np.sqrt(p * (1 - p) / episodes)
    assert np.abs(z).max() < 4.5
    z = (pairs - q)[np.triu_indices(n, 1)] / np.sqrt(q * (1 - q) / episodes)
    assert np.abs(z).max() < 5.0
    if level == "Easy":
        _, counts = np.unique(board, axis=0, return_counts=True)
        assert len(counts) == 120
        assert stats.chisquare(counts).pvalue > 1e-3


def test_turned_cards_are_those_of_a_shuffled_deck(run):
    """Turning card after card: each kind in proportion to what is left of it."""
    env_id = "popgym-ConcentrationHard-v0"
    episodes = 1500
    # Cards 0, 1, 2, ... in pairs; a pair that matches stays up and costs nothing.
    plan = np.tile(np.arange(52), (episodes, 2)).astype(np.int32)[:, :52]
    seen = run(env_id, 0, plan).observation
    deals = np.eye(13, dtype=int)[seen[:, np.arange(1, 53), np.arange(52)]]
    left = 4 - (np.cumsum(deals, axis=1) - deals)
    odds = left / np.arange(52, 0, -1)[:, None]
    assert (deals.sum(axis=1) == 4).all()
    z = np.sum(deals - odds, axis=(0, 1)) / np.sqrt(np.sum(odds * (1 - odds), axis=(0, 1)))
    assert np.abs(z).max() < 4.0


def mazelib_mazes(size, count):
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - what mazelib draws from
    out = []
    for _ in range(count):
        theirs = Maze()
        theirs.generator = HuntAndKill(size, size)
        theirs.generate()
        theirs.generate_entrances(start_outer=True)
        out.append((theirs.grid == 0, theirs.start, theirs.end))
    return tuple(map(np.array, zip(*out, strict=True)))


def features(is_open):
    """Per maze: free cells, dead ends, crossings, straight corridors, vertical passages."""
    padded = np.pad(is_open, [(0, 0), (1, 1), (1, 1)])
    sides = [padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]]
    up, down, left, right = (side[:, 1::2, 1::2] & is_open[:, 1::2, 1::2] for side in sides)
    degree = up.astype(int) + down + left + right
    straight = (up & down & ~left & ~right) | (left & right & ~up & ~down)
    return {
        "free": is_open.sum(axis=(1, 2)),
        "dead ends": (degree == 1).sum(axis=(1, 2)),
        "crossings": (degree >= 3).sum(axis=(1, 2)),
        "straight": straight.sum(axis=(1, 2)),
        "vertical": up.sum(axis=(1, 2)),
        "corner": degree[:, 0, 0],
        "middle": degree[:, degree.shape[1] // 2, degree.shape[1] // 2],
    }


@pytest.mark.parametrize(
    ("size", "count"), [(5, 3000), pytest.param(9, 3000, marks=pytest.mark.slow)]
)
def test_mazes_are_mazelibs(size, count):
    theirs, their_start, their_end = mazelib_mazes(size, count)

    @jax.jit
    @jax.vmap
    def draw(seed):
        digger = maze.finish(chance.fold(seed, 1), maze.begin(chance.fold(seed, 0), size))
        return digger.open, maze.entrances(chance.fold(seed, 2), size)

    rows, (start, end) = draw(jax.random.bits(jax.random.key(0), (count, 2), jnp.uint32))
    ours = grid.to_array(rows, 2 * size + 1)
    expected = features(theirs)
    for name, values in features(ours).items():
        assert same_frequencies(values, expected[name]) > 1e-3, name
    # Each passage as often: 2 x 2 tables, the worst of some forty to a hundred and fifty.
    frequency = np.stack([ours.mean(axis=0), theirs.mean(axis=0)])
    variance = np.sum(frequency * (1 - frequency), axis=0) / count
    difference = np.abs(frequency[0] - frequency[1])
    assert (difference <= 4.5 * np.sqrt(np.maximum(variance, 1e-9))).all()
    width = 2 * size + 1
    for ours_at, theirs_at in ((start, their_start), (end, their_end)):
        ours_at, theirs_at = (np.asarray(x) @ [width, 1] for x in (ours_at, theirs_at))
        assert same_frequencies(ours_at, theirs_at) > 1e-3
    # Opposite sides, and each pair of places as often as the other.
    np.testing.assert_array_equal(np.abs(np.asarray(start) - end).max(axis=1), width - 1)


def test_a_maze_dug_while_playing_is_as_one_dug_at_a_reset(run):
    """The second episode's maze, begun and finished in different ways, has no other law."""
    env = make("popgym-LabyrinthExploreEasy-v0")
    params = env.default_params.replace(max_episode_length=13)  # ends half-way through digging

    def second(key):
        def step(state, key):
            return env.step(key, state, 0, params)[1], None

        key_reset, key_steps = jax.random.split(key)
        state = env.reset(key_reset, params)[1]
        return jax.lax.scan(step, state, jax.random.split(key_steps, 12))[0]

    keys = jax.random.split(jax.random.key(0), 3000)
    played = jax.jit(jax.vmap(second))(keys)
    assert (np.asarray(played.time) == 0).all()
    fresh = starts("popgym-LabyrinthExploreEasy-v0", 3000, seed=1)
    boards = [features(grid.to_array(state.open, 11)) for state in (played, fresh)]
    for name in boards[0]:
        assert same_frequencies(boards[0][name], boards[1][name]) > 1e-3, name
    assert same_frequencies(*(np.asarray(s.start) @ [11, 1] for s in (played, fresh))) > 1e-3
    # And no other one for each environment: all differ.
    assert len(np.unique(np.asarray(played.open), axis=0)) > 2990
