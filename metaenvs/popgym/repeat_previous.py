"""Remember the card of k steps ago."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs.popgym import chance, deck, packed
from metaenvs.popgym.base import DECK_SIZE, SUITS, Game, GameState


class RepeatPreviousState(GameState):
    """The last `k` suits packed, newest first, and what is `remaining` of the deck."""

    history: jax.Array
    remaining: jax.Array


class RepeatPrevious(Game):
    """POPGym's RepeatPrevious: name the suit of the card dealt k - 1 steps before this one.

    - Action, Discrete(4): a suit.
    - Observation, Discrete(4): the suit of the card just dealt.
    - Reward: nothing until k cards are seen; then 1 / (n - k) if the action is the k-th
      newest card's suit, the card in sight being the first newest, else the negative of
      it, with n = 52 `num_decks` cards; returns lie in [-1, 1].
    - Terminated when the deck is empty, after n - 1 steps. Never truncated.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.repeat_previous`.
    """

    def __init__(self, num_decks: int = 1, k: int = 4):
        super().__init__()
        if not 1 <= k < DECK_SIZE * num_decks:
            raise ValueError(f"k must lie in 1..{DECK_SIZE * num_decks - 1}, got {k}")
        self.num_decks = num_decks
        self.num_cards = DECK_SIZE * num_decks
        self.k = k

    def initial_state(self, seed: jax.Array, params: Any) -> RepeatPreviousState:
        full = deck.full(SUITS, self.num_cards // SUITS)
        card = chance.below(chance.words(seed, 1)[0], SUITS)
        return RepeatPreviousState(
            time=jnp.zeros((), jnp.int32),
            history=packed.pushed(packed.empty(self.k), card),
            remaining=deck.without(full, card),
        )

    def advance(
        self, seed: jax.Array, state: RepeatPreviousState, action: jax.Array, params: Any
    ) -> tuple[RepeatPreviousState, jax.Array]:
        correct = packed.get(state.history, self.k - 1)
        reward = jnp.where(action == correct, 1.0, -1.0) / (self.num_cards - self.k)
        seen = state.time + 1
        card = deck.draw(chance.words(seed, 1)[0], state.remaining)
        state = state.replace(
            history=packed.pushed(state.history, card),
            remaining=deck.without(state.remaining, card),
        )
        return state, jnp.where(seen >= self.k, reward, 0.0)

    def observation(self, state: RepeatPreviousState, params: Any) -> jax.Array:
        return packed.get(state.history, 0)

    def is_terminated(self, state: RepeatPreviousState, params: Any) -> jax.Array:
        return state.time == self.num_cards - 1

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(SUITS)

    def observation_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(SUITS)
