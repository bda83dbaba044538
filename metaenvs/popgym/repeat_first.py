"""Remember the first card."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs.popgym import chance, deck
from metaenvs.popgym.base import DECK_SIZE, SUITS, Game, GameState


class RepeatFirstState(GameState):
    """`first` suit of the episode, `card` seen last, and what is `remaining` of the deck."""

    first: jax.Array
    card: jax.Array
    remaining: jax.Array


class RepeatFirst(Game):
    """POPGym's RepeatFirst: name, at every step, the suit of the episode's first card.

    - Action, Discrete(4): a suit.
    - Observation, Discrete(4): the suit of the card just dealt.
    - Reward: 1 / (n - 1) if the action is the first card's suit, else the negative of it,
      with n = 52 `num_decks` cards; returns lie in [-1, 1]. The first action, taken when the
      first card is in sight, counts.
    - Terminated when the deck is empty, after n - 1 steps. Never truncated.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.repeat_first`.
    """

    def __init__(self, num_decks: int = 1):
        super().__init__()
        self.num_decks = num_decks
        self.num_cards = DECK_SIZE * num_decks

    def initial_state(self, seed: jax.Array, params: Any) -> RepeatFirstState:
        full = deck.full(SUITS, self.num_cards // SUITS)
        first = chance.below(chance.words(seed, 1)[0], SUITS)
        return RepeatFirstState(
            time=jnp.zeros((), jnp.int32),
            first=first,
            card=first,
            remaining=deck.without(full, first),
        )

    def advance(
        self, seed: jax.Array, state: RepeatFirstState, action: jax.Array, params: Any
    ) -> tuple[RepeatFirstState, jax.Array]:
        reward = jnp.where(action == state.first, 1.0, -1.0) / (self.num_cards - 1)
        card = deck.draw(chance.words(seed, 1)[0], state.remaining)
        remaining = deck.without(state.remaining, card)
        return state.replace(card=card, remaining=remaining), reward

    def observation(self, state: RepeatFirstState, params: Any) -> jax.Array:
        return state.card

    def is_terminated(self, state: RepeatFirstState, params: Any) -> jax.Array:
        return state.time == self.num_cards - 1

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(SUITS)

    def observation_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(SUITS)
