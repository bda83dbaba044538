"""A planar arm of two links that must bring its finger to a target."""

import math
from types import MappingProxyType

import jax
import jax.numpy as jnp

from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState
from metaenvs.tasks.dm_control.physics.inertia import (
    capsule_inertia,
    capsule_mass,
    sphere_inertia,
    sphere_mass,
)
from metaenvs.tasks.dm_control.physics.integrators import semi_implicit_euler
from metaenvs.tasks.dm_control.physics.limits import limit_force
from metaenvs.tasks.dm_control.physics.trigonometry import sin_cos
from metaenvs.tasks.dm_control.physics.two_link import TwoLink, mass_matrix, velocity_forces
from metaenvs.tasks.dm_control.rewards import tolerance

_TIMESTEP = 0.02


class ReacherState(TaskState):
    """`target [2]`: position (m) of the target's centre in the plane of the arm."""

    target: jax.Array


class ReacherParams(TaskParams):
    """`target_size` (radius, m) chooses the task.

    Lengths in m, `density` in kg/m^3, damping in N m s/rad, `gear` in N m per unit of
    action, `wrist_limit` in rad. `arm_length` is shoulder to wrist, `reach` wrist to
    finger; arm and hand are capsules of radius `link_radius`, the hand's cylinder is
    `hand_length` long, and the finger is a ball.
    """

    target_size: float = 0.05
    arm_length: float = 0.12
    hand_length: float = 0.1
    reach: float = 0.12
    link_radius: float = 0.01
    finger_radius: float = 0.01
    density: float = 1000.0
    damping: float = 0.01
    gear: float = 0.05
    wrist_limit: float = math.radians(160.0)


def _links(params: ReacherParams) -> TwoLink:
    arm_mass = capsule_mass(params.arm_length, params.link_radius, params.density)
    hand_mass = capsule_mass(params.hand_length, params.link_radius, params.density)
    finger_mass = sphere_mass(params.finger_radius, params.density)
    return TwoLink(
        first=capsule_inertia(arm_mass, params.arm_length, params.link_radius)
        + (0.25 * arm_mass + hand_mass + finger_mass) * params.arm_length**2,
        second=capsule_inertia(hand_mass, params.hand_length, params.link_radius)
        + hand_mass * (0.5 * params.hand_length) ** 2
        + sphere_inertia(finger_mass, params.finger_radius)
        + finger_mass * params.reach**2,
        coupling=params.arm_length
        * (hand_mass * 0.5 * params.hand_length + finger_mass * params.reach),
    )


class Reacher(DMControlTask[ReacherState, ReacherParams]):
    """dm_control's reacher: easy, hard.

    - `qpos` `[2]`: shoulder angle, wrist angle relative to the arm (rad); `qvel` their
      rates. The arm moves in a horizontal plane, so gravity does nothing.
    - Action `[2]` in [-1, 1]: torques at shoulder and wrist, 0.05 N m at 1.
    - Observation `[6]`: `qpos` (not wrapped), vector from finger to target (m), `qvel`.
    - Reward: 1 while the finger's centre is within target radius (easy 0.05 m, hard
      0.015 m) plus finger radius (0.01 m) of the target's centre, else 0.
    - Start: shoulder U(-pi, pi), wrist U(-160, 160) degrees, at rest; target at a
      distance U(0.05, 0.2) m from the shoulder in a uniform direction, fixed for the
      episode.
    - Physics: semi-implicit Euler with implicit joint damping, one substep of 0.02 s
      per control step; soft limit of the wrist at 160 degrees.
    - No termination; truncated after 1000 steps (20 s).

    Source: dm_control/suite/reacher.py and reacher.xml.
    """

    dynamics = MappingProxyType(
        {
            "mass": ("density",),
            "length": ("arm_length", "hand_length", "reach"),
            "damping": ("damping",),
            "gear": ("gear",),
        }
    )
    observation_size = 6
    action_size = 2

    def initial_state(self, key: jax.Array, params: ReacherParams) -> ReacherState:
        uniform = jax.random.uniform(key, (4,), jnp.float32, minval=-1.0, maxval=1.0)
        sine, cosine = sin_cos(jnp.pi * uniform[2])
        distance = 0.125 + 0.075 * uniform[3]
        return ReacherState(
            qpos=jnp.stack([jnp.pi * uniform[0], params.wrist_limit * uniform[1]]),
            qvel=jnp.zeros((2,), jnp.float32),
            time=jnp.zeros((), jnp.int32),
            target=distance * jnp.stack([sine, cosine]),
        )

    def advance(
        self, state: ReacherState, action: jax.Array, params: ReacherParams
    ) -> ReacherState:
        shoulder, wrist = state.qpos[0], state.qpos[1]
        shoulder_rate, wrist_rate = state.qvel[0], state.qvel[1]
        sine, cosine = sin_cos(wrist)
        links = _links(params)
        mass = mass_matrix(links, cosine)

        torque1 = params.gear * action[0] - params.damping * shoulder_rate
        torque2 = params.gear * action[1] - params.damping * wrist_rate
        # A joint's torque acts on the link beyond it, and back on the one before.
        velocity1, velocity2 = velocity_forces(
            links, sine, shoulder_rate, shoulder_rate + wrist_rate
        )
        force1 = torque1 - torque2 + velocity1
        force2 = torque2 + velocity2

        inverse = mass.inverse()
        free1, free2 = inverse.times(force1, force2)
        straight = mass_matrix(links, 1.0).inverse()
        limit = limit_force(
            wrist,
            wrist_rate,
            lower=-params.wrist_limit,
            upper=params.wrist_limit,
            free_acceleration=free2 - free1,
            inverse_inertia=inverse.xx - 2.0 * inverse.xy + inverse.yy,
            inverse_weight=straight.xx - 2.0 * straight.xy + straight.yy,
            timestep=_TIMESTEP,
        )
        # Damping of the two joints, as a matrix in absolute angles, is
        # damping * [[2, -1], [-1, 1]].
        implicit = _TIMESTEP * params.damping
        damped = mass._replace(
            xx=mass.xx + 2.0 * implicit, xy=mass.xy - implicit, yy=mass.yy + implicit
        ).inverse()
        acceleration1, acceleration2 = damped.times(force1 - limit, force2 + limit)
        qpos, qvel = semi_implicit_euler(
            (shoulder, wrist),
            (shoulder_rate, wrist_rate),
            (acceleration1, acceleration2 - acceleration1),
            _TIMESTEP,
        )
        return state.replace(qpos=jnp.stack(qpos), qvel=jnp.stack(qvel))

    def _to_target(self, state: ReacherState, params: ReacherParams) -> tuple[jax.Array, jax.Array]:
        sine1, cosine1 = sin_cos(state.qpos[0])
        sine2, cosine2 = sin_cos(state.qpos[0] + state.qpos[1])
        return (
            state.target[0] - params.arm_length * cosine1 - params.reach * cosine2,
            state.target[1] - params.arm_length * sine1 - params.reach * sine2,
        )

    def observation(self, state: ReacherState, params: ReacherParams) -> jax.Array:
        x, y = self._to_target(state, params)
        return jnp.stack([state.qpos[0], state.qpos[1], x, y, state.qvel[0], state.qvel[1]])

    def reward(self, state: ReacherState, action: jax.Array, params: ReacherParams) -> jax.Array:
        x, y = self._to_target(state, params)
        return tolerance(jnp.sqrt(x * x + y * y), (0.0, params.target_size + params.finger_radius))
