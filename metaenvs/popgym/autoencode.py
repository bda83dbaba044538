"""Watch a deck of cards, then recite it backwards."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs.popgym import chance, deck, packed
from metaenvs.popgym.base import (
    DECK_SIZE,
    SUITS,
    Game,
    GameState,
)
from metaenvs.spaces import MultiDiscrete

PLAY, WATCH = 0, 1


class AutoencodeState(GameState):
    """Suits of the `cards` dealt so far, packed, and what is `remaining` of the deck."""

    cards: jax.Array
    remaining: jax.Array


class Autoencode(Game):
    """POPGym's Autoencode: name the suits of all cards dealt, the last one first.

    First n = 52 `num_decks` cards are dealt one by one (WATCH, actions do nothing), then
    the player recites them (PLAY). The last card is shown with the mode already PLAY.

    - Action, Discrete(4): a suit.
    - Observation, MultiDiscrete([2, 4]), where popgym has the tuple of the same two
      numbers: the mode, PLAY 0 or WATCH 1, and the suit of the card just dealt, which is
      0 after each recital.
    - Reward: 0 while watching; then 1 / n for the right suit, else the negative of it.
    - Terminated when all cards are recited, after 2 n - 1 steps. Never truncated.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.autoencode`.
    """

    def __init__(self, num_decks: int = 1):
        super().__init__()
        self.num_decks = num_decks
        self.num_cards = DECK_SIZE * num_decks

    def initial_state(self, seed: jax.Array, params: Any) -> AutoencodeState:
        full = deck.full(SUITS, self.num_cards // SUITS)
        card = chance.below(chance.words(seed, 1)[0], SUITS)
        return AutoencodeState(
            time=jnp.zeros((), jnp.int32),
            cards=packed.put(packed.empty(self.num_cards), 0, card),
            remaining=deck.without(full, card),
        )

    def advance(
        self, seed: jax.Array, state: AutoencodeState, action: jax.Array, params: Any
    ) -> tuple[AutoencodeState, jax.Array]:
        n, dealt = self.num_cards, state.time + 1
        playing = dealt >= n
        correct = packed.get(state.cards, 2 * n - 1 - dealt)
        reward = jnp.where(action == correct, 1.0, -1.0) / n
        card = deck.draw(chance.words(seed, 1)[0], state.remaining)
        state = state.replace(
            cards=jnp.where(playing, state.cards, packed.put(state.cards, dealt, card)),
            remaining=jnp.where(playing, state.remaining, deck.without(state.remaining, card)),
        )
        return state, jnp.where(playing, reward, 0.0)

    def observation(self, state: AutoencodeState, params: Any) -> jax.Array:
        n, time = self.num_cards, state.time
        return jnp.stack([jnp.where(time < n - 1, WATCH, PLAY), packed.get(state.cards, time)])

    def is_terminated(self, state: AutoencodeState, params: Any) -> jax.Array:
        return state.time == 2 * self.num_cards - 1

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(SUITS)

    def observation_space(self, params: Any = None) -> MultiDiscrete:
        return MultiDiscrete((2, SUITS))
