"""A pendulum whose motor is too weak to lift it in one go."""

import math
from types import MappingProxyType

import jax
import jax.numpy as jnp

from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState
from metaenvs.tasks.dm_control.physics.inertia import sphere_inertia
from metaenvs.tasks.dm_control.physics.integrators import semi_implicit_euler
from metaenvs.tasks.dm_control.physics.trigonometry import sin_cos
from metaenvs.tasks.dm_control.rewards import tolerance

_TIMESTEP = 0.02
_COSINE_BOUND = math.cos(math.radians(8.0))


class PendulumParams(TaskParams):
    """A solid ball of `mass` kg and `radius` m, its centre `length` m from the hinge.

    Damping in N m s/rad, `gear` in N m per unit of action, gravity in m/s^2.
    """

    mass: float = 1.0
    length: float = 0.5
    radius: float = 0.05
    damping: float = 0.1
    gear: float = 1.0
    gravity: float = 9.81


class Pendulum(DMControlTask[TaskState, PendulumParams]):
    """dm_control's pendulum: swingup.

    - `qpos` `[1]`: angle (rad, 0 upright); `qvel` its rate.
    - Action `[1]` in [-1, 1]: torque at the hinge, 1 N m at 1; holding the pendulum
      level would take 4.9 N m.
    - Observation `[3]`: cosine and sine of the angle, angular velocity (rad/s).
    - Reward: 1 while the pole is within 8 degrees of upright, else 0.
    - Start: angle U(-pi, pi), at rest.
    - Physics: semi-implicit Euler with implicit joint damping, one substep of 0.02 s
      per control step.
    - No termination; truncated after 1000 steps (20 s).

    Source: dm_control/suite/pendulum.py and pendulum.xml.
    """

    dynamics = MappingProxyType(
        {
            "mass": ("mass",),
            "length": ("length",),
            "damping": ("damping",),
            "gear": ("gear",),
            "gravity": ("gravity",),
        }
    )
    observation_size = 3
    action_size = 1

    def initial_state(self, key: jax.Array, params: PendulumParams) -> TaskState:
        return TaskState(
            qpos=jax.random.uniform(key, (1,), jnp.float32, minval=-jnp.pi, maxval=jnp.pi),
            qvel=jnp.zeros((1,), jnp.float32),
            time=jnp.zeros((), jnp.int32),
        )

    def advance(self, state: TaskState, action: jax.Array, params: PendulumParams) -> TaskState:
        sine, _ = sin_cos(state.qpos)
        inertia = sphere_inertia(params.mass, params.radius) + params.mass * params.length**2
        torque = (
            params.gear * action
            + params.mass * params.gravity * params.length * sine
            - params.damping * state.qvel
        )
        qpos, qvel = semi_implicit_euler(
            state.qpos, state.qvel, torque / (inertia + _TIMESTEP * params.damping), _TIMESTEP
        )
        return state.replace(qpos=qpos, qvel=qvel)

    def observation(self, state: TaskState, params: PendulumParams) -> jax.Array:
        sine, cosine = sin_cos(state.qpos)
        return jnp.concatenate([cosine, sine, state.qvel])

    def reward(self, state: TaskState, action: jax.Array, params: PendulumParams) -> jax.Array:
        _, cosine = sin_cos(state.qpos[0])
        return tolerance(cosine, (_COSINE_BOUND, 1.0))
