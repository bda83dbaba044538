"""What the POPGym games share: the Gymnax contract, spaces, cheap randomness."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

DECK_SIZE, COLORS, SUITS, RANKS = 52, 2, 4, 13


class GameState(struct.PyTreeNode):
    """What the steps of every game keep: the number of them taken in this episode."""

    time: jax.Array


class GameParams(struct.PyTreeNode):
    """A level's numbers that may be traced; games with such numbers subclass it."""


class Game(environment.Environment):
    """A POPGym environment under Gymnax's contract.

    A game is one subclass; its levels are rows of numbers in `metaenvs.popgym.ENVIRONMENTS`:
    constructor arguments where they shape the program, `params` where they may be traced.
    A subclass says how an episode starts, what a step does, what is observed and when
    the game is over. All chance is drawn in `initial_state` and `advance` and kept in the
    state, so that an observation is a function of the state.

    `terminated`: the game is over. `truncated`: a time limit was reached, which only
    games that override `is_truncated` have. Both may be true of one step, as in popgym.
    """

    def __init__(self, params: Any = None):
        self._default_params = GameParams() if params is None else params

    def initial_state(self, key: jax.Array, params: Any) -> Any:
        """Draw the state in which an episode starts; `time` is 0."""
        raise NotImplementedError

    def advance(
        self, key: jax.Array, state: Any, action: jax.Array, params: Any
    ) -> tuple[Any, jax.Array]:
        """The next state and the reward; `time` is counted by `step_env`."""
        raise NotImplementedError

    def observation(self, state: Any, params: Any) -> jax.Array:
        """What the player sees of `state`."""
        raise NotImplementedError

    def is_terminated(self, state: Any, params: Any) -> jax.Array:
        """Whether the game is over in `state`."""
        raise NotImplementedError

    def is_truncated(self, state: Any, params: Any) -> jax.Array:
        return jnp.zeros((), bool)

    @property
    def default_params(self) -> Any:
        return self._default_params

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        state = self.initial_state(key, params)
        return self.observation(state, params), state

    def step_env(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[jax.Array, Any, jax.Array, jax.Array, dict[str, Any]]:
        space = self.action_space(params)
        action = jnp.asarray(action, space.dtype)
        if action.shape != tuple(space.shape):  # would broadcast or be cut silently
            raise ValueError(
                f"{self.name}: action of shape {tuple(space.shape)} expected, got {action.shape}"
            )
        time = state.time + 1
        state, reward = self.advance(key, state, action, params)
        state = state.replace(time=time)
        return (
            self.observation(state, params),
            state,
            jnp.asarray(reward, jnp.float32),
            self.is_terminated(state, params),
            {},
        )

    @property
    def num_actions(self) -> int:
        """Choices of a Discrete action, else components of the action."""
        space = self.action_space(self.default_params)
        return space.n if isinstance(space, spaces.Discrete) else int(np.prod(space.shape))

    def __repr__(self) -> str:
        return f"{self.name}({self._default_params!r})"


def random_below(key: jax.Array, n: jax.Array | int) -> jax.Array:
    """An integer uniform over `0 .. n - 1`, for `n` below 2^16 that may be traced.

    A 32-bit random word times `n`, over 2^32: each integer's probability is 1 / n to within
    2^-32. Cheaper than `jax.random.randint`, which divides by `n` and draws four words.
    """
    bits = jax.random.bits(key, (), jnp.uint32)
    n = jnp.asarray(n, jnp.uint32)
    high, low = bits >> 16, bits & 0xFFFF
    return ((high * n + ((low * n) >> 16)) >> 16).astype(jnp.int32)


def draw_card(key: jax.Array, remaining: jax.Array) -> jax.Array:
    """The kind of the next card of a shuffled deck with `remaining [kinds]` cards of each.

    Dealing card by card what a shuffle would have put next has the same distribution as
    shuffling at the episode's start, and leaves nothing to pay for at a reset. 0 from an
    empty deck.
    """
    passed = jnp.cumsum(remaining)
    card = jnp.sum(random_below(key, passed[-1]) >= passed, dtype=jnp.int32)
    return jnp.where(passed[-1] > 0, card, 0)


def one_hot(index: jax.Array, size: int, dtype: Any = jnp.int32) -> jax.Array:
    """`[size]`, 1 at `index`. Array updates by it are vectorised, scatters are not."""
    return (jnp.arange(size) == index).astype(dtype)
