"""A pole on a cart of which half the state is hidden."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from metaenvs.popgym import chance
from metaenvs.popgym.base import Game, GameParams, GameState

_GRAVITY = 9.8
_TIMESTEP = 0.02
_FORCE = 10.0
_POLE_MASS = 0.1
_TOTAL_MASS = 1.1
_HALF_LENGTH = 0.5
_MAX_POSITION = 2.4
_MAX_ANGLE = math.radians(12.0)
_MAX_START = 0.05
# Of position, velocity, angle and angular velocity; states past the limits are still seen.
_BOUNDS = np.array([2 * _MAX_POSITION, np.inf, 2 * _MAX_ANGLE, np.inf], np.float32)


class CartPoleState(GameState):
    """`physics [4]`: position (m), velocity, angle (rad), angular velocity; `noise [2]`.

    The noise is that of the observation, in standard deviations; 0 in games without it.
    """

    physics: jax.Array
    noise: jax.Array


class CartPoleParams(GameParams):
    """Steps per episode, and the standard deviation of the observation's noise."""

    max_steps_in_episode: int = 200
    noise_sigma: float = 0.1


class CartPole(Game):
    """Gymnasium's CartPole, of whose four numbers POPGym shows two.

    - Action, Discrete(2): push the cart with 10 N to the left (0) or right (1).
    - Observation, Box `[2]`: the game says which two numbers, and whether each has
      Gaussian noise of `noise_sigma` added, and is then clipped to the box.
    - Reward: 1 / `max_steps_in_episode` for every step, the last one included.
    - Start: all four numbers U(-0.05, 0.05).
    - Physics: explicit Euler, 0.02 s per step.
    - Terminated when the cart is more than 2.4 m from the centre or the pole more than 12
      degrees from upright; truncated after `max_steps_in_episode` steps.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.position_only_cartpole`
    and its kin; Barto, Sutton & Anderson 1983; gymnasium's `classic_control/cartpole.py`.
    """

    observed: tuple[int, int]
    noisy = False

    def __init__(self, params: CartPoleParams | None = None):
        super().__init__(CartPoleParams() if params is None else params)

    def initial_state(self, seed: jax.Array, params: CartPoleParams) -> CartPoleState:
        words = chance.words(seed, 6)
        return CartPoleState(
            time=jnp.zeros((), jnp.int32),
            physics=chance.symmetric(words[:4], _MAX_START),
            noise=self._noise(words[4:]),
        )

    def _noise(self, words: jax.Array) -> jax.Array:
        return chance.normal(words) if self.noisy else jnp.zeros(2)

    def advance(
        self, seed: jax.Array, state: CartPoleState, action: jax.Array, params: CartPoleParams
    ) -> tuple[CartPoleState, jax.Array]:
        _, velocity, angle, spin = state.physics
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        force = jnp.where(action == 1, _FORCE, -_FORCE)
        push = (force + _POLE_MASS * _HALF_LENGTH * spin**2 * sine) / _TOTAL_MASS
        angular = (_GRAVITY * sine - cosine * push) / (
            _HALF_LENGTH * (4.0 / 3.0 - _POLE_MASS * cosine**2 / _TOTAL_MASS)
        )
        linear = push - _POLE_MASS * _HALF_LENGTH * angular * cosine / _TOTAL_MASS
        rates = jnp.stack([velocity, linear, spin, angular])
        physics, noise = state.physics + _TIMESTEP * rates, self._noise(chance.words(seed, 2))
        reward = jnp.float32(1.0) / params.max_steps_in_episode
        return state.replace(physics=physics, noise=noise), reward

    def observation(self, state: CartPoleState, params: CartPoleParams) -> jax.Array:
        seen = self.visible(state)
        if not self.noisy:
            return seen
        bounds = _BOUNDS[np.array(self.observed)]
        return jnp.clip(seen + params.noise_sigma * state.noise, -bounds, bounds)

    def visible(self, state: CartPoleState) -> jax.Array:
        """The two numbers of `physics` that are observed."""
        return state.physics[np.array(self.observed)]

    def is_terminated(self, state: CartPoleState, params: CartPoleParams) -> jax.Array:
        position, _, angle, _ = state.physics
        return (jnp.abs(position) > _MAX_POSITION) | (jnp.abs(angle) > _MAX_ANGLE)

    def is_truncated(self, state: CartPoleState, params: CartPoleParams) -> jax.Array:
        return state.time >= params.max_steps_in_episode

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(2)

    def observation_space(self, params: Any = None) -> spaces.Box:
        bounds = _BOUNDS[np.array(self.observed)]
        return spaces.Box(-bounds, bounds, (2,))


class PositionOnlyCartPole(CartPole):
    """CartPole that shows the cart's position and the pole's angle."""

    observed = (0, 2)


class VelocityOnlyCartPole(CartPole):
    """CartPole that shows the cart's velocity and the pole's angular velocity.

    An episode's first observation is the cart's position and the pole's angle, as in popgym
    1.0.7, whose reset takes those two components of the state.
    """

    observed = (1, 3)

    def visible(self, state: CartPoleState) -> jax.Array:
        position, velocity, angle, spin = state.physics
        first = state.time == 0
        return jnp.stack([jnp.where(first, position, velocity), jnp.where(first, angle, spin)])


class NoisyPositionOnlyCartPole(PositionOnlyCartPole):
    """CartPole that shows the cart's position and the pole's angle, with noise."""

    noisy = True
