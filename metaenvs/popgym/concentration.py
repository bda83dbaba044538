"""Turn over pairs of equal cards."""

import math
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs import errors
from metaenvs.popgym import chance, deck
from metaenvs.popgym.base import COLORS, DECK_SIZE, RANKS, Game, GameState, one_hot
from metaenvs.spaces import MultiDiscrete

KINDS = MappingProxyType({"colors": COLORS, "ranks": RANKS})
_NONE = -1


class ConcentrationState(GameState):
    """`cards [n]` (int8): the kind of each card turned so far, -1 for others.

    `remaining`: the deck of those never turned; `matched [n]`: cards that stay
    face up; `shown [n]`: cards face up in the observation; `first`: the card turned first
    in a turn that has begun, else -1; `pairs`: pairs found.
    """

    cards: jax.Array
    remaining: jax.Array
    matched: jax.Array
    shown: jax.Array
    first: jax.Array
    pairs: jax.Array


class Concentration(Game):
    """POPGym's Concentration: turn over two cards at a time and find all pairs.

    n = 52 `num_decks` cards lie face down; of each, only the `deck_type` counts.

    - Action, Discrete(n): the card to turn over.
    - Observation, MultiDiscrete `[n]`: kinds (2 colors or 13 ranks) of the cards face up,
      the number of kinds for cards face down. Both cards of a turn are still face up in
      the observation that follows its second action.
    - Reward, with L = ceil(2 n - n / (2 n - 1)): 2 / n for a pair, which then stays face
      up; -2 / L for a turn without one, as when the same card is turned twice. Turning a
      card that is face up for good ends the turn with -1 / L per action in it.
    - Start: a shuffled deck. Here a card's kind is drawn when it is first turned, which is
      the same in distribution.
    - Terminated when all pairs are found; truncated after L steps. Both may be true.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.concentration`.
    """

    def __init__(self, num_decks: int = 1, deck_type: str = "ranks"):
        super().__init__()
        self.num_cards = DECK_SIZE * num_decks
        self.kinds = errors.lookup(KINDS, deck_type, "deck type")
        n = self.num_cards
        self.episode_length = math.ceil(2 * n - n / (2 * n - 1))

    def initial_state(self, seed: jax.Array, params: Any) -> ConcentrationState:
        n, zero = self.num_cards, jnp.zeros((), jnp.int32)
        return ConcentrationState(
            time=zero,
            cards=jnp.full(n, _NONE, jnp.int8),
            remaining=deck.full(self.kinds, n // self.kinds),
            matched=jnp.zeros(n, bool),
            shown=jnp.zeros(n, bool),
            first=jnp.full((), _NONE, jnp.int32),
            pairs=zero,
        )

    def advance(
        self, seed: jax.Array, state: ConcentrationState, action: jax.Array, params: Any
    ) -> tuple[ConcentrationState, jax.Array]:
        here = one_hot(action, self.num_cards, bool)
        known = state.cards[action].astype(jnp.int32)
        new = known == _NONE
        drawn = deck.draw(chance.words(seed, 1)[0], state.remaining)
        kind = jnp.where(new, drawn, known)
        cards = jnp.where(here & new, drawn.astype(jnp.int8), state.cards)
        remaining = jnp.where(new, deck.without(state.remaining, drawn), state.remaining)

        begun = state.first != _NONE
        first_here = one_hot(state.first, self.num_cards, bool)
        first_kind = state.cards[jnp.maximum(state.first, 0)].astype(jnp.int32)
        matched_before = state.matched[action]
        pair = begun & ~matched_before & (kind == first_kind) & (action != state.first)
        ends = begun | matched_before
        failed = jnp.where(begun, 2.0, 1.0) / -self.episode_length
        reward = jnp.where(pair, 2.0 / self.num_cards, jnp.where(ends, failed, 0.0))
        state = state.replace(
            cards=cards,
            remaining=remaining,
            matched=state.matched | (pair & (here | first_here)),
            shown=state.matched | here | first_here,
            first=jnp.where(ends, _NONE, action),
            pairs=state.pairs + pair,
        )
        return state, reward

    def observation(self, state: ConcentrationState, params: Any) -> jax.Array:
        return jnp.where(state.shown, state.cards, self.kinds).astype(jnp.int32)

    def is_terminated(self, state: ConcentrationState, params: Any) -> jax.Array:
        return state.pairs == self.num_cards // 2

    def is_truncated(self, state: ConcentrationState, params: Any) -> jax.Array:
        return state.time >= self.episode_length

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_cards)

    def observation_space(self, params: Any = None) -> MultiDiscrete:
        return MultiDiscrete((self.kinds + 1,) * self.num_cards)
