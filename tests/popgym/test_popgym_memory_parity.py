"""The games of cards and arms beside popgym's: our hidden state in both, the same actions."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats

from metaenvs.popgym import LEVELS, make


def order_of(kinds: np.ndarray, dealt: np.ndarray) -> np.ndarray:
    """The order of a popgym deck whose cards have `kinds`, such that `dealt` is dealt."""
    order = np.empty(len(kinds), np.int64)
    order[np.argsort(dealt, kind="stable")] = np.argsort(kinds, kind="stable")
    return order[::-1]  # popgym deals from the end


@dataclasses.dataclass(frozen=True)
class Case:
    """How one game is put beside popgym's.

    `draws(their, seen)`: what popgym's generator must draw to be in our hidden state;
    `seen` is one of our episodes. `best(their, observation [T + 1])`: actions of a player
    with a perfect memory, and with foresight where memory is not enough.
    """

    draws: Callable[[Any, Any], dict[str, list]]
    best: Callable[[Any, np.ndarray], np.ndarray] | None = None


def one_deck(kinds: str, column: Callable[[np.ndarray], np.ndarray] = lambda o: o):
    def draws(their, seen):
        dealt = column(seen.observation)[: their.deck.num_cards]
        return {"shuffle": [order_of(getattr(their.deck, kinds), dealt)]}

    return draws


def recited(their, observation):
    watched = observation[: their.deck.num_cards, 1]
    return np.concatenate([np.zeros(len(watched) - 1, int), watched[::-1]])


def counted(their, observation):
    values, queries = observation[:-1].T
    return np.array([np.sum(values[: t + 1] == q) for t, q in enumerate(queries)])


def repeated(their, observation):
    shifted = np.roll(observation, their.k - 1)
    return shifted[:-1]


CASES = {
    "Autoencode": Case(one_deck("suits_idx", lambda o: o[:, 1]), recited),
    "CountRecall": Case(
        lambda their, seen: {
            "shuffle": [order_of(their.deck_idx_type, dealt) for dealt in seen.observation.T]
        },
        counted,
    ),
    "RepeatFirst": Case(one_deck("suits_idx"), lambda their, seen: np.full(len(seen) - 1, seen[0])),
    "RepeatPrevious": Case(one_deck("suits_idx"), repeated),
    "HigherLower": Case(
        one_deck("ranks_idx"), lambda their, seen: np.where(np.diff(seen) > 0, 0, 1)
    ),
    "MultiarmedBandit": Case(
        lambda their, seen: {
            # Odds lie in [0, 1): below 0 nothing pays, 0 always does.
            "random": [seen.states.odds[0], *np.where(seen.observation[1:], -1.0, 1.0)]
        }
    ),
}
IDS = [f"popgym-{game}{level}-v0" for game in CASES for level in LEVELS]
PLAYED = [
    *((f"popgym-{game}Medium-v0", 5) for game in CASES),
    *(pytest.param(env_id, 200, marks=pytest.mark.slow) for env_id in IDS),
]


def case_of(env_id: str) -> Case:
    return next(case for game, case in CASES.items() if env_id.startswith(f"popgym-{game}"))


def length_of(their: Any) -> int:
    return getattr(their, "max_episode_length", None) or their.deck_size - 1


def row(seen: Any, i: int) -> Any:
    return type(seen)(**jax.tree.map(lambda x: x[i], vars(seen)))


def play_reference(their: Any, actions: np.ndarray) -> dict[str, np.ndarray]:
    observation, _ = their.reset()
    steps = [their.step(int(a)) for a in actions]
    observations, rewards, terminated, truncated, _ = zip(*steps, strict=True)
    return {
        "observation": np.array([observation, *observations]),
        "reward": np.array(rewards),
        "terminated": np.array(terminated),
        "truncated": np.array(truncated),
    }


def random_actions(env_id: str, episodes: int, steps: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(make(env_id).num_actions, size=(episodes, steps)).astype(np.int32)


@pytest.mark.parametrize(("env_id", "episodes"), PLAYED)
def test_every_step_is_popgyms(env_id, episodes, run, reference, script):
    their, case = reference(env_id), case_of(env_id)
    steps = length_of(their)
    plan = random_actions(env_id, episodes, steps, seed=1)
    if case.best:
        # Cards do not depend on actions: play once to see them, then half the time well.
        cards = run(env_id, 0, plan).observation
        best = np.stack([case.best(their, observation) for observation in cards])
        well = np.random.default_rng(2).random(plan.shape) < 0.5
        plan = np.where(well, best, plan).astype(np.int32)
    seen = run(env_id, 0, plan)
    if case.best:
        np.testing.assert_array_equal(seen.observation, cards)
    for i in range(episodes):
        ours = row(seen, i)
        their.np_random = script(**case.draws(their, ours))
        theirs = play_reference(their, ours.action)
        np.testing.assert_array_equal(ours.observation, theirs["observation"])
        np.testing.assert_allclose(ours.reward, theirs["reward"], rtol=1e-6, atol=0)
        np.testing.assert_array_equal(ours.terminated, theirs["terminated"])
        np.testing.assert_array_equal(ours.truncated, theirs["truncated"])
        # The episode ended at its last step, and there only.
        np.testing.assert_array_equal(
            np.flatnonzero(theirs["terminated"] | theirs["truncated"]), [steps - 1]
        )
    assert len(np.unique(seen.reward)) >= 2


@pytest.mark.parametrize("env_id", [i for i in IDS if case_of(i).best and "Medium" in i])
def test_a_perfect_memory_earns_all(env_id, run, reference):
    """Return 1; in HigherLower, of a player who knows the next card, 1 without the ties."""
    their = reference(env_id)
    # As many episodes as the parity test, whose compiled program this is.
    cards = run(env_id, 0, random_actions(env_id, 5, length_of(their), seed=1)).observation
    best = np.stack([case_of(env_id).best(their, observation) for observation in cards])
    returns = run(env_id, 0, best.astype(np.int32)).reward.sum(axis=1)
    expected = np.ones(len(cards))
    if "HigherLower" in env_id:
        expected = np.count_nonzero(np.diff(cards, axis=1), axis=1) / their.deck_size
    np.testing.assert_allclose(returns, expected, rtol=1e-5)


def dealt_by_popgym(their: Any, kinds: np.ndarray, episodes: int) -> np.ndarray:
    their.np_random = np.random.default_rng(7)
    deck = their.deck if hasattr(their, "deck") else their.value_deck
    out = []
    for _ in range(episodes):
        their.reset()
        out.append(kinds[deck.idx[::-1]])
    return np.array(out)


# id, kinds of the cards of popgym's deck, and what of our observations is the card dealt
DECKS = {
    "popgym-AutoencodeEasy-v0": (lambda t: t.deck.suits_idx, lambda o: o[:, :52, 1]),
    "popgym-CountRecallEasy-v0": (lambda t: t.deck_idx_type, lambda o: o[..., 0]),
    "popgym-CountRecallMedium-v0": (lambda t: t.deck_idx_type, lambda o: o[..., 1]),
    "popgym-RepeatFirstEasy-v0": (lambda t: t.deck.suits_idx, lambda o: o),
    "popgym-RepeatPreviousEasy-v0": (lambda t: t.deck.suits_idx, lambda o: o),
    "popgym-HigherLowerEasy-v0": (lambda t: t.deck.ranks_idx, lambda o: o),
}


@pytest.mark.parametrize("env_id", DECKS)
def test_decks_are_shuffled_as_popgyms(env_id, run, reference):
    """Ours deal card by card what theirs shuffled at the start: equal in distribution."""
    episodes = 2000
    their = reference(env_id)
    kinds, dealt = DECKS[env_id][0](their), DECKS[env_id][1]
    plan = np.zeros((episodes, length_of(their)), np.int32)
    ours = dealt(run(env_id, 3, plan).observation)
    theirs = dealt_by_popgym(their, kinds, episodes)
    n, size = len(kinds), kinds.max() + 1
    # Exactly the deck, in every episode.
    np.testing.assert_array_equal(np.sort(ours, axis=1), np.tile(np.sort(kinds), (episodes, 1)))
    # Each card, given those before: each kind in proportion to what remains of it.
    deals = np.eye(size, dtype=int)[ours]
    left = n // size - (np.cumsum(deals, axis=1) - deals)
    odds = left / np.arange(n, 0, -1)[:, None]
    z = np.sum(deals - odds, axis=(0, 1)) / np.sqrt(np.sum(odds * (1 - odds), axis=(0, 1)))
    assert np.abs(z).max() < 4.0
    # By quarters of the deck too, against the reference, in counts and in runs.
    for quarter in range(0, n, n // 4):
        table = [
            np.bincount(x[:, quarter] * size + x[:, quarter + 1], minlength=size**2)
            for x in (ours, theirs)
        ]
        table = np.array(table)[:, np.sum(table, axis=0) > 0]
        assert stats.chi2_contingency(table).pvalue > 1e-3
    repeats = [np.sum(np.diff(x, axis=1) == 0, axis=1) for x in (ours, theirs)]
    assert stats.ks_2samp(*repeats).pvalue > 1e-3
    # Episodes differ: of keys, not of one deck.
    assert len(np.unique(ours, axis=0)) == episodes


def test_values_and_queries_of_count_recall_are_independent(run):
    env_id = "popgym-CountRecallMedium-v0"
    seen = run(env_id, 3, np.zeros((2000, 103), np.int32)).observation
    for t in (0, 1, 50):
        table = np.zeros((4, 4))
        np.add.at(table, tuple(seen[:, t].T), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("level", LEVELS)
def test_arms_are_popgyms_and_pay_by_their_odds(level, run, reference):
    env_id = f"popgym-MultiarmedBandit{level}-v0"
    their = reference(env_id)
    seen = run(env_id, 4, random_actions(env_id, 300, length_of(their), seed=5))
    ours = seen.states.odds[:, 0]
    theirs = np.stack([their.reset(seed=i)[1]["bandits"] for i in range(300)])
    assert ours.shape == theirs.shape
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3
    assert np.abs(np.corrcoef(ours, rowvar=False) - np.eye(ours.shape[1])).max() < 0.3
    # Pulls pay as often as their arm's odds say, for bad, middling and good arms.
    odds = np.take_along_axis(ours, seen.action, axis=1)
    paid = seen.observation[:, 1:]
    for low in np.arange(0, 1, 0.1):
        chosen = (odds >= low) & (odds < low + 0.1)
        error = np.sum(paid[chosen] - odds[chosen])
        assert abs(error) < 4.0 * np.sqrt(np.sum(odds[chosen] * (1 - odds[chosen])))
    assert len(np.unique(paid, axis=0)) == 300
