"""A ball on a table that must be brought to the middle."""

import math
from types import MappingProxyType

import jax
import jax.numpy as jnp

from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState
from metaenvs.tasks.dm_control.physics.integrators import semi_implicit_euler
from metaenvs.tasks.dm_control.physics.limits import limit_force
from metaenvs.tasks.dm_control.physics.trigonometry import sin_cos
from metaenvs.tasks.dm_control.rewards import tolerance

_TIMESTEP = 0.02
# Two directions whose angle has a cosine beyond 0.9 are "too parallel".
_SMALLEST_ANGLE = math.acos(0.9)


class PointMassState(TaskState):
    """`directions [2, 2]`: row i is the unit vector along which action i pushes."""

    directions: jax.Array


class PointMassParams(TaskParams):
    """`random_directions` chooses the task (True: hard).

    Mass in kg, damping in N s/m, `gear` in N per unit of action, `wall_limit` the
    largest |coordinate| in m, `target_size` the target's radius in m.
    """

    random_directions: bool = False
    mass: float = 0.3
    damping: float = 1.0
    gear: float = 0.1
    wall_limit: float = 0.29
    target_size: float = 0.015


class PointMass(DMControlTask[PointMassState, PointMassParams]):
    """dm_control's point_mass: easy, hard.

    - `qpos` `[2]`: position (m) relative to the target; `qvel` velocity (m/s).
    - Action `[2]` in [-1, 1]: each pushes along its own direction, 0.1 N at 1. Easy:
      along x and y. Hard: along two directions drawn for the episode, uniform on the
      circle, but with |cosine| of the angle between them at most 0.9.
    - Observation `[4]`: position, velocity. The directions are not observed.
    - Reward: `near_target * small_control`; `near_target` is 1 within 0.015 m of the
      target and has a margin of 0.015 m, `small_control` in [4/5, 1] averages over
      the two actions.
    - Start: position U(-0.29, 0.29)^2, at rest.
    - Physics: semi-implicit Euler with implicit joint damping, one substep of 0.02 s
      per control step; soft limits at 0.29 m.
    - No termination; truncated after 1000 steps (20 s).

    Source: dm_control/suite/point_mass.py and point_mass.xml.
    """

    dynamics = MappingProxyType(
        {
            "mass": ("mass",),
            "damping": ("damping",),
            "gear": ("gear",),
        }
    )
    observation_size = 4
    action_size = 2

    def initial_state(self, key: jax.Array, params: PointMassParams) -> PointMassState:
        uniform = jax.random.uniform(key, (4,), jnp.float32, minval=-1.0, maxval=1.0)
        # dm_control draws the second direction until it is not too parallel to the
        # first. The angle between them is then uniform on two arcs about +-pi/2: pick
        # one by the sign of a uniform number, the place in it by its magnitude.
        first = jnp.pi * uniform[2]
        arc = jnp.pi - 2.0 * _SMALLEST_ANGLE
        side = jnp.where(uniform[3] < 0.0, -1.0, 1.0)
        between = side * _SMALLEST_ANGLE + arc * uniform[3]
        sine, cosine = sin_cos(jnp.stack([first, first + between]))
        return PointMassState(
            qpos=params.wall_limit * uniform[:2],
            qvel=jnp.zeros((2,), jnp.float32),
            time=jnp.zeros((), jnp.int32),
            directions=jnp.where(
                params.random_directions,
                jnp.stack([cosine, sine], axis=-1),
                jnp.eye(2, dtype=jnp.float32),
            ),
        )

    def advance(
        self, state: PointMassState, action: jax.Array, params: PointMassParams
    ) -> PointMassState:
        push = params.gear * (action[0] * state.directions[0] + action[1] * state.directions[1])
        force = push - params.damping * state.qvel
        force = force + limit_force(
            state.qpos,
            state.qvel,
            lower=-params.wall_limit,
            upper=params.wall_limit,
            free_acceleration=force / params.mass,
            inverse_inertia=1.0 / params.mass,
            inverse_weight=1.0 / params.mass,
            timestep=_TIMESTEP,
        )
        qpos, qvel = semi_implicit_euler(
            state.qpos, state.qvel, force / (params.mass + _TIMESTEP * params.damping), _TIMESTEP
        )
        return state.replace(qpos=qpos, qvel=qvel)

    def observation(self, state: PointMassState, params: PointMassParams) -> jax.Array:
        return jnp.concatenate([state.qpos, state.qvel])

    def reward(
        self, state: PointMassState, action: jax.Array, params: PointMassParams
    ) -> jax.Array:
        distance = jnp.sqrt(jnp.sum(state.qpos**2))
        near_target = tolerance(distance, (0.0, params.target_size), margin=params.target_size)
        control = tolerance(action, margin=1.0, sigmoid="quadratic", value_at_margin=0.0)
        return near_target * (4.0 + jnp.mean(control)) / 5.0
