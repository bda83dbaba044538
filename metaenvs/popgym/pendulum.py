"""A pendulum to swing up, whose speed is hidden."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from metaenvs.popgym import chance
from metaenvs.popgym.base import Game, GameParams, GameState

_GRAVITY = 10.0
_TIMESTEP = 0.05
_MAX_SPEED = 8.0
_MAX_TORQUE = 2.0
_MAX_START_SPEED = 1.0
# popgym's constant: the largest cost of a step, pi^2 + 0.1 * 8^2 + 0.001 * 2^2.
_MAX_COST = 16.2736044


class PendulumState(GameState):
    """`physics [2]`: angle (rad, 0 upright, not wrapped) and its rate; `noise [2]`.

    The noise is that of the observation, in standard deviations; 0 in games without it.
    """

    physics: jax.Array
    noise: jax.Array


class PendulumParams(GameParams):
    """Steps per episode, and the standard deviation of the observation's noise."""

    max_steps_in_episode: int = 200
    noise_sigma: float = 0.1


class PositionOnlyPendulum(Game):
    """POPGym's PositionOnlyPendulum: Gymnasium's Pendulum without the angular velocity.

    - Action, Box `[1]` in [-2, 2]: torque (N m), clipped.
    - Observation, Box `[2]` in [-1, 1]: cosine and sine of the angle.
    - Reward: (1 - 2 c / 16.2736044) / `max_steps_in_episode`, where the cost c is
      angle^2 + 0.1 velocity^2 + 0.001 torque^2 before the step, the angle in [-pi, pi).
      The angle's best is upright, 0; returns lie in [-1, 1].
    - Start: angle U(-pi, pi), angular velocity U(-1, 1).
    - Physics: a rod of 1 m and 1 kg, semi-implicit Euler, 0.05 s per step, speed at most
      8 rad/s.
    - Never terminated; truncated after `max_steps_in_episode` steps.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.position_only_pendulum`;
    gymnasium's `classic_control/pendulum.py`.
    """

    noisy = False

    def __init__(self, params: PendulumParams | None = None):
        super().__init__(PendulumParams() if params is None else params)

    def initial_state(self, seed: jax.Array, params: PendulumParams) -> PendulumState:
        words = chance.words(seed, 4)
        limits = np.array([math.pi, _MAX_START_SPEED])
        return PendulumState(
            time=jnp.zeros((), jnp.int32),
            physics=chance.symmetric(words[:2], limits),
            noise=self._noise(words[2:]),
        )

    def _noise(self, words: jax.Array) -> jax.Array:
        return chance.normal(words) if self.noisy else jnp.zeros(2)

    def advance(
        self, seed: jax.Array, state: PendulumState, action: jax.Array, params: PendulumParams
    ) -> tuple[PendulumState, jax.Array]:
        angle, speed = state.physics
        torque = jnp.clip(action[0], -_MAX_TORQUE, _MAX_TORQUE)
        wrapped = (angle + math.pi) % (2 * math.pi) - math.pi
        cost = wrapped**2 + 0.1 * speed**2 + 0.001 * torque**2
        speed = speed + (1.5 * _GRAVITY * jnp.sin(angle) + 3.0 * torque) * _TIMESTEP
        speed = jnp.clip(speed, -_MAX_SPEED, _MAX_SPEED)
        physics = jnp.stack([angle + speed * _TIMESTEP, speed])
        reward = (1.0 - cost / (_MAX_COST / 2)) / params.max_steps_in_episode
        return state.replace(physics=physics, noise=self._noise(chance.words(seed, 2))), reward

    def observation(self, state: PendulumState, params: PendulumParams) -> jax.Array:
        angle = state.physics[0]
        seen = jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        if not self.noisy:
            return seen
        return jnp.clip(seen + params.noise_sigma * state.noise, -1.0, 1.0)

    def is_terminated(self, state: PendulumState, params: PendulumParams) -> jax.Array:
        return jnp.zeros((), bool)

    def is_truncated(self, state: PendulumState, params: PendulumParams) -> jax.Array:
        return state.time >= params.max_steps_in_episode

    def action_space(self, params: Any = None) -> spaces.Box:
        return spaces.Box(-_MAX_TORQUE, _MAX_TORQUE, (1,))

    def observation_space(self, params: Any = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (2,))


class NoisyPositionOnlyPendulum(PositionOnlyPendulum):
    """POPGym's NoisyPositionOnlyPendulum: Gaussian noise on what is seen.

    PositionOnlyPendulum with independent noise of standard deviation `noise_sigma` added to
    the cosine and the sine at every step, the start included; then each is clipped to [-1, 1].

    Source: popgym 1.0.7, `popgym.envs.noisy_position_only_pendulum`.
    """

    noisy = True
