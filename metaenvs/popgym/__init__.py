"""POPGym's partially observable environments, under their ids in popgym 1.0.7."""

import functools
from collections.abc import Callable

from metaenvs import errors
from metaenvs.popgym.autoencode import Autoencode
from metaenvs.popgym.base import Game, MultiDiscrete
from metaenvs.popgym.cartpole import (
    CartPoleParams,
    NoisyPositionOnlyCartPole,
    PositionOnlyCartPole,
    VelocityOnlyCartPole,
)
from metaenvs.popgym.count_recall import CountRecall
from metaenvs.popgym.higher_lower import HigherLower
from metaenvs.popgym.multiarmed_bandit import BanditParams, MultiarmedBandit
from metaenvs.popgym.pendulum import (
    NoisyPositionOnlyPendulum,
    PendulumParams,
    PositionOnlyPendulum,
)
from metaenvs.popgym.repeat_first import RepeatFirst
from metaenvs.popgym.repeat_previous import RepeatPrevious
from metaenvs.popgym.wrappers import PreviousAction

__all__ = ["ENVIRONMENTS", "Game", "MultiDiscrete", "PreviousAction", "ids", "make"]


def _levels(name: str, game: Callable[..., Game], *rows: dict) -> dict[str, Callable[[], Game]]:
    """popgym's id of each level to what makes it; the levels differ in their rows only."""
    levels = zip(("Easy", "Medium", "Hard"), rows, strict=True)
    return {f"popgym-{name}{level}-v0": functools.partial(game, **row) for level, row in levels}


def _limits(params: Callable[..., object], *steps: int) -> list[dict]:
    return [{"params": params(max_steps_in_episode=n)} for n in steps]


def _sigmas(params: Callable[..., object], *sigmas: float) -> list[dict]:
    return [{"params": params(noise_sigma=s)} for s in sigmas]


# Letter for letter popgym's names ("VelocityOnlyCartpole" too).
ENVIRONMENTS: dict[str, Callable[[], Game]] = {
    # diagnostic
    **_levels("Autoencode", Autoencode, {"num_decks": 1}, {"num_decks": 2}, {"num_decks": 3}),
    **_levels(
        "CountRecall",
        CountRecall,
        {"num_decks": 1, "deck_type": "colors"},
        {"num_decks": 2, "deck_type": "suits"},
        {"num_decks": 4, "deck_type": "ranks"},
    ),
    **_levels("RepeatFirst", RepeatFirst, {"num_decks": 1}, {"num_decks": 8}, {"num_decks": 16}),
    **_levels(
        "RepeatPrevious",
        RepeatPrevious,
        {"num_decks": 1, "k": 4},
        {"num_decks": 2, "k": 32},
        {"num_decks": 3, "k": 64},
    ),
    # control
    **_levels(
        "PositionOnlyCartPole", PositionOnlyCartPole, *_limits(CartPoleParams, 200, 400, 600)
    ),
    **_levels(
        "VelocityOnlyCartpole", VelocityOnlyCartPole, *_limits(CartPoleParams, 200, 400, 600)
    ),
    **_levels(
        "PositionOnlyPendulum", PositionOnlyPendulum, *_limits(PendulumParams, 200, 150, 100)
    ),
    # noisy
    **_levels(
        "NoisyPositionOnlyCartPole",
        NoisyPositionOnlyCartPole,
        *_sigmas(CartPoleParams, 0.1, 0.2, 0.3),
    ),
    **_levels(
        "NoisyPositionOnlyPendulum",
        NoisyPositionOnlyPendulum,
        *_sigmas(PendulumParams, 0.1, 0.2, 0.3),
    ),
    **_levels(
        "MultiarmedBandit",
        MultiarmedBandit,
        {"num_bandits": 10, "params": BanditParams(max_steps_in_episode=200)},
        {"num_bandits": 20, "params": BanditParams(max_steps_in_episode=400)},
        {"num_bandits": 30, "params": BanditParams(max_steps_in_episode=600)},
    ),
    # game
    **_levels("HigherLower", HigherLower, {"num_decks": 1}, {"num_decks": 2}, {"num_decks": 3}),
    # navigation
}

ids: tuple[str, ...] = tuple(ENVIRONMENTS)


@functools.cache
def make(env_id: str) -> Game:
    """The environment called `env_id`, one of `ids`; always the same object for an id.

    Being one object matters: Gymnax compiles `reset` and `step` once per environment
    object.

    Raises:
        ValueError: if there is no such environment; the message lists the ids.
    """
    return errors.lookup(ENVIRONMENTS, env_id, "POPGym environment")()
