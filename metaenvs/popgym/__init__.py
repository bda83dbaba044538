"""POPGym's partially observable environments, under their ids in popgym 1.0.7."""

import functools
from collections.abc import Callable
from typing import Any

from metaenvs import errors
from metaenvs.popgym.autoencode import Autoencode
from metaenvs.popgym.base import Game
from metaenvs.popgym.battleship import Battleship
from metaenvs.popgym.cartpole import (
    CartPoleParams,
    NoisyPositionOnlyCartPole,
    PositionOnlyCartPole,
    VelocityOnlyCartPole,
)
from metaenvs.popgym.concentration import Concentration
from metaenvs.popgym.count_recall import CountRecall
from metaenvs.popgym.higher_lower import HigherLower
from metaenvs.popgym.labyrinth import LabyrinthEscape, LabyrinthExplore
from metaenvs.popgym.minesweeper import MineSweeper
from metaenvs.popgym.multiarmed_bandit import BanditParams, MultiarmedBandit
from metaenvs.popgym.pendulum import (
    NoisyPositionOnlyPendulum,
    PendulumParams,
    PositionOnlyPendulum,
)
from metaenvs.popgym.repeat_first import RepeatFirst
from metaenvs.popgym.repeat_previous import RepeatPrevious
from metaenvs.popgym.wrappers import PreviousAction, SignAction
from metaenvs.spaces import MultiDiscrete

__all__ = [
    "GAMES",
    "LEVELS",
    "Game",
    "MultiDiscrete",
    "PreviousAction",
    "SignAction",
    "ids",
    "make",
]

LEVELS = ("Easy", "Medium", "Hard")


def _levels(game: Callable[..., Game], **rows: tuple) -> dict[str, Callable[[], Game]]:
    """What makes each level; `rows` gives each argument of `game` at the three levels."""
    arguments = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    return {level: functools.partial(game, **a) for level, a in zip(LEVELS, arguments, strict=True)}


def _limits(params: Callable[..., Any], *steps: int) -> tuple:
    return tuple(params(max_steps_in_episode=n) for n in steps)


def _sigmas(params: Callable[..., Any], *sigmas: float) -> tuple:
    return tuple(params(noise_sigma=s) for s in sigmas)


# Letter for letter popgym's names ("VelocityOnlyCartpole" too), by its groups.
GAMES: dict[str, dict[str, Callable[[], Game]]] = {
    # diagnostic
    "Autoencode": _levels(Autoencode, num_decks=(1, 2, 3)),
    "CountRecall": _levels(
        CountRecall, num_decks=(1, 2, 4), deck_type=("colors", "suits", "ranks")
    ),
    "RepeatFirst": _levels(RepeatFirst, num_decks=(1, 8, 16)),
    "RepeatPrevious": _levels(RepeatPrevious, num_decks=(1, 2, 3), k=(4, 32, 64)),
    # control
    "PositionOnlyCartPole": _levels(
        PositionOnlyCartPole, params=_limits(CartPoleParams, 200, 400, 600)
    ),
    "VelocityOnlyCartpole": _levels(
        VelocityOnlyCartPole, params=_limits(CartPoleParams, 200, 400, 600)
    ),
    "PositionOnlyPendulum": _levels(
        PositionOnlyPendulum, params=_limits(PendulumParams, 200, 150, 100)
    ),
    # noisy
    "NoisyPositionOnlyCartPole": _levels(
        NoisyPositionOnlyCartPole, params=_sigmas(CartPoleParams, 0.1, 0.2, 0.3)
    ),
    "NoisyPositionOnlyPendulum": _levels(
        NoisyPositionOnlyPendulum, params=_sigmas(PendulumParams, 0.1, 0.2, 0.3)
    ),
    "MultiarmedBandit": _levels(
        MultiarmedBandit, num_bandits=(10, 20, 30), params=_limits(BanditParams, 200, 400, 600)
    ),
    # game
    "Battleship": _levels(Battleship, board_size=(8, 10, 12)),
    "Concentration": _levels(
        Concentration, num_decks=(1, 2, 1), deck_type=("colors", "colors", "ranks")
    ),
    "HigherLower": _levels(HigherLower, num_decks=(1, 2, 3)),
    "MineSweeper": _levels(MineSweeper, board_size=(4, 6, 8), num_mines=(2, 6, 10)),
    # navigation
    "LabyrinthEscape": _levels(LabyrinthEscape, maze_size=(10, 14, 18)),
    "LabyrinthExplore": _levels(LabyrinthExplore, maze_size=(10, 14, 18)),
}

_FACTORIES = {
    f"popgym-{game}{level}-v0": factory
    for game, levels in GAMES.items()
    for level, factory in levels.items()
}

ids: tuple[str, ...] = tuple(_FACTORIES)


@functools.cache
def make(env_id: str) -> Game:
    """The environment called `env_id`, one of `ids`; always the same object for an id.

    Being one object matters: Gymnax compiles `reset` and `step` once per environment
    object.

    Raises:
        ValueError: if there is no such environment; the message lists the ids.
    """
    return errors.lookup(_FACTORIES, env_id, "POPGym environment")()
