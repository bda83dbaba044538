"""Two links hanging from a pivot, driven at the elbow only."""

from types import MappingProxyType

import jax
import jax.numpy as jnp

from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState
from metaenvs.tasks.dm_control.physics.inertia import capsule_inertia
from metaenvs.tasks.dm_control.physics.integrators import runge_kutta_4
from metaenvs.tasks.dm_control.physics.trigonometry import sin_cos
from metaenvs.tasks.dm_control.physics.two_link import TwoLink, mass_matrix, velocity_forces
from metaenvs.tasks.dm_control.rewards import tolerance

_TIMESTEP = 0.01
_TARGET_RADIUS = 0.2


class AcrobotParams(TaskParams):
    """`sparse` chooses the task; the rest is the dynamics.

    Masses in kg, lengths and radii in m, damping (of each joint) in N m s/rad,
    gravity in m/s^2, `gear` in N m per unit of action. Links are capsules;
    `target_height` is that of the target above the shoulder.
    """

    sparse: bool = False
    upper_mass: float = 1.0
    upper_length: float = 1.0
    upper_radius: float = 0.05
    lower_mass: float = 1.0
    lower_length: float = 1.0
    lower_radius: float = 0.049
    damping: float = 0.05
    gear: float = 2.0
    gravity: float = 9.81
    target_height: float = 2.0


class Acrobot(DMControlTask[TaskState, AcrobotParams]):
    """dm_control's acrobot: swingup, swingup_sparse.

    - `qpos` `[2]`: shoulder angle (rad, 0 upright), elbow angle relative to the upper
      arm; `qvel` their rates.
    - Action `[1]` in [-1, 1]: torque at the elbow, 2 N m at 1.
    - Observation `[6]`: horizontal components of upper and lower arm's direction, their
      vertical components, `qvel`.
    - Reward: of the distance from the tip to the target, 2 m above the shoulder: 1
      within 0.2 m, outside with a margin of 1 m (swingup) or 0 (sparse).
    - Start: both angles U(-pi, pi), at rest.
    - Physics: RK4, one substep of 0.01 s per control step; no constraints.
    - No termination; truncated after 1000 steps (10 s).

    Source: dm_control/suite/acrobot.py and acrobot.xml.
    """

    dynamics = MappingProxyType(
        {
            "mass": ("upper_mass", "lower_mass"),
            "length": ("upper_length", "lower_length"),
            "damping": ("damping",),
            "gear": ("gear",),
            "gravity": ("gravity",),
        }
    )
    observation_size = 6
    action_size = 1

    def initial_state(self, key: jax.Array, params: AcrobotParams) -> TaskState:
        return TaskState(
            qpos=jax.random.uniform(key, (2,), jnp.float32, minval=-jnp.pi, maxval=jnp.pi),
            qvel=jnp.zeros((2,), jnp.float32),
            time=jnp.zeros((), jnp.int32),
        )

    def advance(self, state: TaskState, action: jax.Array, params: AcrobotParams) -> TaskState:
        upper_moment = params.upper_mass * 0.5 * params.upper_length
        lower_moment = params.lower_mass * 0.5 * params.lower_length
        links = TwoLink(
            first=capsule_inertia(params.upper_mass, params.upper_length, params.upper_radius)
            + upper_moment * 0.5 * params.upper_length
            + params.lower_mass * params.upper_length**2,
            second=capsule_inertia(params.lower_mass, params.lower_length, params.lower_radius)
            + lower_moment * 0.5 * params.lower_length,
            coupling=params.upper_length * lower_moment,
        )
        weight1 = params.gravity * (upper_moment + params.lower_mass * params.upper_length)
        weight2 = params.gravity * lower_moment
        drive = params.gear * action[0]

        def acceleration(
            qpos: tuple[jax.Array, jax.Array], qvel: tuple[jax.Array, jax.Array]
        ) -> tuple[jax.Array, jax.Array]:
            shoulder, elbow = qpos
            rate1, elbow_rate = qvel
            sine1, cosine1 = sin_cos(shoulder)
            sine2, cosine2 = sin_cos(shoulder + elbow)
            sine_bend = sine2 * cosine1 - cosine2 * sine1
            cosine_bend = cosine2 * cosine1 + sine2 * sine1
            torque1 = -params.damping * rate1
            torque2 = drive - params.damping * elbow_rate
            velocity1, velocity2 = velocity_forces(links, sine_bend, rate1, rate1 + elbow_rate)
            acceleration1, acceleration2 = (
                mass_matrix(links, cosine_bend)
                .inverse()
                .times(
                    torque1 - torque2 + velocity1 + weight1 * sine1,
                    torque2 + velocity2 + weight2 * sine2,
                )
            )
            return acceleration1, acceleration2 - acceleration1

        qpos, qvel = runge_kutta_4(
            acceleration,
            (state.qpos[0], state.qpos[1]),
            (state.qvel[0], state.qvel[1]),
            _TIMESTEP,
        )
        return state.replace(qpos=jnp.stack(qpos), qvel=jnp.stack(qvel))

    def observation(self, state: TaskState, params: AcrobotParams) -> jax.Array:
        sine1, cosine1 = sin_cos(state.qpos[0])
        sine2, cosine2 = sin_cos(state.qpos[0] + state.qpos[1])
        return jnp.stack([sine1, sine2, cosine1, cosine2, state.qvel[0], state.qvel[1]])

    def reward(self, state: TaskState, action: jax.Array, params: AcrobotParams) -> jax.Array:
        sine1, cosine1 = sin_cos(state.qpos[0])
        sine2, cosine2 = sin_cos(state.qpos[0] + state.qpos[1])
        x = params.upper_length * sine1 + params.lower_length * sine2
        z = params.upper_length * cosine1 + params.lower_length * cosine2 - params.target_height
        return tolerance(
            jnp.sqrt(x * x + z * z),
            (0.0, _TARGET_RADIUS),
            margin=jnp.where(params.sparse, 0.0, 1.0),
        )
