"""What the POPGym games share: the Gymnax contract, sizes of decks, small arrays."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from metaenvs.dispatch import only_where
from metaenvs.identity import Code, same
from metaenvs.popgym import chance
from metaenvs.precision import in_32_bits

DECK_SIZE, COLORS, SUITS, RANKS = 52, 2, 4, 13


class GameState(struct.PyTreeNode):
    """What the steps of every game keep: the number of them taken in this episode."""

    time: jax.Array


class GameParams(struct.PyTreeNode):
    """A level's numbers that may be traced; games with such numbers subclass it."""


class Game(environment.Environment):
    """A POPGym environment under Gymnax's contract.

    A game is one subclass; its levels are rows of numbers in `metaenvs.popgym.GAMES`:
    constructor arguments where they shape the program, `params` where they may be traced.
    Levels that differ in their params only have one `code`, and share compiled programs.
    A subclass says how an episode starts, what a step does, what is observed and when
    the game is over. All chance is drawn in `initial_state` and `advance`, from a seed of
    `metaenvs.popgym.chance`, and kept in the state, so that an observation is a function
    of the state.

    `terminated`: the game is over. `truncated`: a time limit was reached, which only
    games that override `is_truncated` have. Both may be true of one step, as in popgym.

    `dear_start`: starts cost more than steps, and are computed only for the environments
    of a batch whose episode is over; other starts are computed for all at every step.
    """

    dear_start = False

    def __init__(self, params: Any = None):
        self._default_params = GameParams() if params is None else params

    def initial_state(self, seed: jax.Array, params: Any) -> Any:
        """Draw the state in which an episode starts; `time` is 0."""
        raise NotImplementedError

    def advance(
        self, seed: jax.Array, state: Any, action: jax.Array, params: Any
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

    def next_episode(self, seed: jax.Array, over: jax.Array, state: Any, params: Any) -> Any:
        """`state`, or where `over` the state in which the next episode starts."""
        if self.dear_start:
            return only_where(over, self.initial_state, state, seed, params)
        start = self.initial_state(seed, params)
        return jax.tree.map(lambda x, y: jnp.where(over, x, y), start, state)

    @property
    def default_params(self) -> Any:
        return self._default_params

    @in_32_bits
    def reset(self, key: jax.Array, params: Any = None) -> tuple[jax.Array, Any]:
        """Start an episode. Returns the observation and the state."""
        # None is resolved here: levels that differ in their defaults share a cache.
        return self._reset(self.code, key, self.default_params if params is None else params)

    @in_32_bits
    def step(
        self, key: jax.Array, state: Any, action: Any, params: Any = None
    ) -> tuple[jax.Array, Any, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        """One step, with Gymnax's auto-reset at the episode's end.

        Returns observation, state, reward, terminated, truncated, info.

        Raises:
            ValueError: if `action` has not the shape of the action space.
        """
        params = self.default_params if params is None else params
        return self._step(self.code, key, state, action, params)

    @staticmethod
    @partial(jax.jit, static_argnums=0)
    def _reset(code, key, params):
        return code.env.reset_env(key, params)

    @staticmethod
    @partial(jax.jit, static_argnums=0)
    def _step(code, key, state, action, params):
        return code.env._step_and_start(key, state, action, params)

    def _step_and_start(self, key, state, action, params):
        # As Gymnax's, but the key is not split: a seed per purpose is made of it.
        final_observation, state, reward, terminated, info = self.step_env(
            key, state, action, params
        )
        truncated = self.is_truncated(state, params)
        over = terminated | truncated
        state = self.next_episode(chance.seed(key, chance.START), over, state, params)
        info |= {
            "terminated": terminated,
            "truncated": truncated,
            "final_observation": final_observation,
        }
        # In the next episode's first state where this one is over.
        observation = self.observation(state, params)
        return observation, state, reward, terminated, truncated, info

    @in_32_bits
    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        state = self.initial_state(chance.seed(key, chance.START), params)
        return self.observation(state, params), state

    @in_32_bits
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
        state, reward = self.advance(chance.seed(key, chance.STEP), state, action, params)
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

    @property
    def code(self) -> Code:
        """What compiled programs depend on: all but the default params."""
        shape = sorted((name, x) for name, x in vars(self).items() if name != "_default_params")
        return Code(self, (type(self), *shape))

    def __eq__(self, other):
        return type(self) is type(other) and same(vars(self), vars(other))

    def __hash__(self):
        return hash(self.code)

    def __repr__(self) -> str:
        return f"{self.name}({self._default_params!r})"


# Under jax.vmap these run over a batch of small arrays. XLA vectorises over the batch what
# is elementwise in it, and fuses it; gathers, scatters and sums of short rows it does not.


def one_hot(index: jax.Array, size: int, dtype: Any = jnp.int32) -> jax.Array:
    """`[size]`, 1 at `index`."""
    return (jnp.arange(size) == index).astype(dtype)


def at(array: jax.Array, index: jax.Array) -> jax.Array:
    """`array[index]` of a short array, 0 if there is no such element."""
    out = jnp.zeros((), array.dtype)
    for i in range(len(array)):
        out = jnp.where(index == i, array[i], out)
    return out
