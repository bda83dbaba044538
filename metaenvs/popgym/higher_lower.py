"""Guess whether the next card is higher or lower."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs.popgym import chance, deck
from metaenvs.popgym.base import DECK_SIZE, RANKS, Game, GameState


class HigherLowerState(GameState):
    """Rank of the `card` in sight and what is `remaining` of the deck."""

    card: jax.Array
    remaining: jax.Array


class HigherLower(Game):
    """POPGym's HigherLower: is the next card's rank above or below this one's?

    - Action, Discrete(2): 0 guesses higher, 1 lower.
    - Observation, Discrete(13): rank of the card just dealt, ace 0 to king 12.
    - Reward: 1 / n if the guess comes true, -1 / n if not, 0 for equal ranks, with
      n = 52 `num_decks` cards. Counting cards pays.
    - Terminated when the deck is empty, after n - 1 steps. Never truncated.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.higher_lower`.
    """

    def __init__(self, num_decks: int = 1):
        super().__init__()
        self.num_decks = num_decks
        self.num_cards = DECK_SIZE * num_decks

    def initial_state(self, seed: jax.Array, params: Any) -> HigherLowerState:
        full = deck.full(RANKS, self.num_cards // RANKS)
        card = chance.below(chance.words(seed, 1)[0], RANKS)
        return HigherLowerState(
            time=jnp.zeros((), jnp.int32), card=card, remaining=deck.without(full, card)
        )

    def advance(
        self, seed: jax.Array, state: HigherLowerState, action: jax.Array, params: Any
    ) -> tuple[HigherLowerState, jax.Array]:
        card = deck.draw(chance.words(seed, 1)[0], state.remaining)
        guess = jnp.where(action == 0, 1, -1)
        reward = guess * jnp.sign(card - state.card) / self.num_cards
        remaining = deck.without(state.remaining, card)
        return state.replace(card=card, remaining=remaining), reward

    def observation(self, state: HigherLowerState, params: Any) -> jax.Array:
        return state.card

    def is_terminated(self, state: HigherLowerState, params: Any) -> jax.Array:
        return state.time == self.num_cards - 1

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(2)

    def observation_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(RANKS)
