"""MuJoCo's integrators. Positions and velocities are pytrees of equal structure."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")


def _advance(start: T, rate: T, timestep: float) -> T:
    return jax.tree.map(lambda x, v: x + timestep * v, start, rate)


def semi_implicit_euler(qpos: T, qvel: T, damped_acceleration: T, timestep: float) -> tuple[T, T]:
    """MuJoCo's `Euler`: velocity first, then position by the new velocity.

    Joint damping is implicit: `damped_acceleration` is
    `(M + timestep * diag(damping))^-1 force`, where the force includes the damping at
    the old velocity, instead of `M^-1 force`.
    """
    qvel = _advance(qvel, damped_acceleration, timestep)
    return _advance(qpos, qvel, timestep), qvel


def runge_kutta_4(
    acceleration: Callable[[T, T], T], qpos: T, qvel: T, timestep: float
) -> tuple[T, T]:
    """MuJoCo's `RK4`: the classical method, `acceleration(qpos, qvel)` in each stage."""

    # A loop, because XLA fuses the four stages written out into one expression that
    # computes the early ones again for each use: 20 to 100 times slower on a CPU.
    def stage(carry: tuple[T, T, T, T], constants: jax.Array) -> tuple[tuple[T, T, T, T], None]:
        rate, change_of_rate, qpos_sum, qvel_sum = carry
        offset, weight = constants
        stage_qvel = _advance(qvel, change_of_rate, offset)
        stage_change = acceleration(_advance(qpos, rate, offset), stage_qvel)
        return (
            stage_qvel,
            stage_change,
            _advance(qpos_sum, stage_qvel, weight),
            _advance(qvel_sum, stage_change, weight),
        ), None

    nothing = jax.tree.map(jnp.zeros_like, qvel)
    tableau = timestep * np.array(
        [[0.0, 1 / 6], [1 / 2, 1 / 3], [1 / 2, 1 / 3], [1.0, 1 / 6]], np.float32
    )
    (_, _, qpos_sum, qvel_sum), _ = jax.lax.scan(stage, (nothing,) * 4, jnp.asarray(tableau))
    return _advance(qpos, qpos_sum, 1.0), _advance(qvel, qvel_sum, 1.0)
