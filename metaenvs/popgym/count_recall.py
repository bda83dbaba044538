"""Count cards of every kind."""

from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs import errors
from metaenvs.popgym import chance, deck
from metaenvs.popgym.base import (
    COLORS,
    DECK_SIZE,
    RANKS,
    SUITS,
    Game,
    GameState,
)
from metaenvs.spaces import MultiDiscrete

KINDS = MappingProxyType({"colors": COLORS, "suits": SUITS, "ranks": RANKS})


class CountRecallState(GameState):
    """Kinds of the two cards in sight, and what remains of each of the two decks."""

    value: jax.Array
    query: jax.Array
    value_remaining: jax.Array
    query_remaining: jax.Array


class CountRecall(Game):
    """POPGym's CountRecall: how many cards of the queried kind have been dealt?

    Two equal decks of n = 52 `num_decks` cards, of which only the `deck_type` counts
    (2 colors, 4 suits or 13 ranks): values are dealt from one, queries from the other.

    - Action, Discrete(n / kinds + 1): the number of cards of the kind queried in the
      observation in sight that were dealt as values so far, the one in sight included.
    - Observation, MultiDiscrete([kinds, kinds]): the value dealt and the query.
    - Reward: 1 / (n - 1) for the right number, else the negative of it.
    - Terminated when the decks are empty, after n - 1 steps. Never truncated.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.count_recall`.
    """

    def __init__(self, num_decks: int = 1, deck_type: str = "colors"):
        super().__init__()
        self.num_decks = num_decks
        self.num_cards = DECK_SIZE * num_decks
        self.kinds = errors.lookup(KINDS, deck_type, "deck type")

    def initial_state(self, seed: jax.Array, params: Any) -> CountRecallState:
        full = deck.full(self.kinds, self.num_cards // self.kinds)
        value, query = chance.below(chance.words(seed, 2), self.kinds)
        return CountRecallState(
            time=jnp.zeros((), jnp.int32),
            value=value,
            query=query,
            value_remaining=deck.without(full, value),
            query_remaining=deck.without(full, query),
        )

    def advance(
        self, seed: jax.Array, state: CountRecallState, action: jax.Array, params: Any
    ) -> tuple[CountRecallState, jax.Array]:
        left = deck.left(state.value_remaining, state.query)
        count = self.num_cards // self.kinds - left
        reward = jnp.where(action == count, 1.0, -1.0) / (self.num_cards - 1)
        word_value, word_query = chance.words(seed, 2)
        value = deck.draw(word_value, state.value_remaining)
        query = deck.draw(word_query, state.query_remaining)
        state = state.replace(
            value=value,
            query=query,
            value_remaining=deck.without(state.value_remaining, value),
            query_remaining=deck.without(state.query_remaining, query),
        )
        return state, reward

    def observation(self, state: CountRecallState, params: Any) -> jax.Array:
        return jnp.stack([state.value, state.query])

    def is_terminated(self, state: CountRecallState, params: Any) -> jax.Array:
        return state.time == self.num_cards - 1

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_cards // self.kinds + 1)

    def observation_space(self, params: Any = None) -> MultiDiscrete:
        return MultiDiscrete((self.kinds, self.kinds))
