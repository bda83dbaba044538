"""A cart on a rail that must hold, or swing up, a pole."""

import math
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState
from metaenvs.tasks.dm_control.physics.inertia import capsule_inertia
from metaenvs.tasks.dm_control.physics.integrators import runge_kutta_4
from metaenvs.tasks.dm_control.physics.limits import limit_force
from metaenvs.tasks.dm_control.physics.trigonometry import sin_cos
from metaenvs.tasks.dm_control.rewards import tolerance

_TIMESTEP = 0.01
_LIMIT_TIME_CONSTANT = 0.08


class CartpoleParams(TaskParams):
    """`swing_up` and `sparse` choose the task; the rest is the dynamics.

    Masses in kg, lengths in m, damping in N s/m (slider) and N m s/rad (hinge),
    gravity in m/s^2, `gear` in N per unit of action. The pole is a capsule whose
    cylinder is `pole_length` long; the cart can move `rail_limit` to either side.
    """

    swing_up: bool = False
    sparse: bool = False
    cart_mass: float = 1.0
    pole_mass: float = 0.1
    pole_length: float = 1.0
    pole_radius: float = 0.045
    slider_damping: float = 5e-4
    hinge_damping: float = 2e-6
    rail_limit: float = 1.8
    gear: float = 10.0
    gravity: float = 9.81


class Cartpole(DMControlTask[TaskState, CartpoleParams]):
    """dm_control's cartpole: balance, swingup, balance_sparse, swingup_sparse.

    - `qpos`: cart position (m), pole angle (rad, 0 upright, positive towards +x);
      `qvel` their rates.
    - Action `[1]` in [-1, 1]: force on the cart, 10 N at 1.
    - Observation `[5]`: cart position, cosine and sine of the pole angle, cart
      velocity (m/s), pole velocity (rad/s).
    - Reward: dense, `upright * small_control * small_velocity * centered`, where
      `upright = (1 + cos) / 2`, `small_control` in [4/5, 1], `small_velocity` (pole)
      and `centered` (margin 2 m) in [1/2, 1]. Sparse: 1 while the cart is within
      0.25 m of the middle and the cosine is at least 0.995, else 0.
    - Start: balance, position U(-0.1, 0.1) and angle U(-0.034, 0.034); swingup,
      position N(0, 0.01) and angle N(pi, 0.01). Velocities N(0, 0.01) each.
    - Physics: RK4, one substep of 0.01 s per control step; soft rail limit.
    - No termination; truncated after 1000 steps (10 s).

    Source: dm_control/suite/cartpole.py and cartpole.xml.
    """

    dynamics = MappingProxyType(
        {
            "mass": ("cart_mass", "pole_mass"),
            "length": ("pole_length",),
            "damping": ("slider_damping", "hinge_damping"),
            "gear": ("gear",),
            "gravity": ("gravity",),
        }
    )
    observation_size = 5
    action_size = 1

    def initial_state(self, key: jax.Array, params: CartpoleParams) -> TaskState:
        # Random bits cost more than a step of the physics, so both kinds of start are
        # made from the same uniform numbers, the normal ones by inversion.
        above_minus_one = np.nextafter(np.float32(-1.0), np.float32(0.0))
        uniform = jax.random.uniform(key, (4,), jnp.float32, minval=above_minus_one, maxval=1.0)
        normal = math.sqrt(2.0) * jax.scipy.special.erfinv(uniform)
        near_top = uniform[:2] * np.array([0.1, 0.034], np.float32)
        near_bottom = np.array([0.0, np.pi], np.float32) + 0.01 * normal[:2]
        return TaskState(
            qpos=jnp.where(params.swing_up, near_bottom, near_top),
            qvel=0.01 * normal[2:],
            time=jnp.zeros((), jnp.int32),
        )

    def advance(self, state: TaskState, action: jax.Array, params: CartpoleParams) -> TaskState:
        first_moment = params.pole_mass * (0.5 * params.pole_length)
        total_mass = params.cart_mass + params.pole_mass
        pole_inertia = (
            capsule_inertia(params.pole_mass, params.pole_length, params.pole_radius)
            + first_moment * 0.5 * params.pole_length
        )
        # The slider's element of the inverse mass matrix with the pole upright.
        inverse_weight = pole_inertia / (total_mass * pole_inertia - first_moment**2)
        push = params.gear * action[0]

        def acceleration(
            qpos: tuple[jax.Array, jax.Array], qvel: tuple[jax.Array, jax.Array]
        ) -> tuple[jax.Array, jax.Array]:
            position, angle = qpos
            velocity, rate = qvel
            sine, cosine = sin_cos(angle)
            coupling = first_moment * cosine
            scale = 1.0 / (total_mass * pole_inertia - coupling * coupling)
            force = push - params.slider_damping * velocity + first_moment * sine * rate * rate
            torque = first_moment * params.gravity * sine - params.hinge_damping * rate
            free_acceleration = scale * (pole_inertia * force - coupling * torque)
            force = force + limit_force(
                position,
                velocity,
                lower=-params.rail_limit,
                upper=params.rail_limit,
                free_acceleration=free_acceleration,
                inverse_inertia=scale * pole_inertia,
                inverse_weight=inverse_weight,
                timestep=_TIMESTEP,
                time_constant=_LIMIT_TIME_CONSTANT,
            )
            return (
                scale * (pole_inertia * force - coupling * torque),
                scale * (total_mass * torque - coupling * force),
            )

        qpos, qvel = runge_kutta_4(
            acceleration,
            (state.qpos[0], state.qpos[1]),
            (state.qvel[0], state.qvel[1]),
            _TIMESTEP,
        )
        return state.replace(qpos=jnp.stack(qpos), qvel=jnp.stack(qvel))

    def observation(self, state: TaskState, params: CartpoleParams) -> jax.Array:
        sine, cosine = sin_cos(state.qpos[1])
        return jnp.stack([state.qpos[0], cosine, sine, state.qvel[0], state.qvel[1]])

    def reward(self, state: TaskState, action: jax.Array, params: CartpoleParams) -> jax.Array:
        position = state.qpos[0]
        _, cosine = sin_cos(state.qpos[1])
        sparse = tolerance(position, (-0.25, 0.25)) * tolerance(cosine, (0.995, 1.0))

        upright = (cosine + 1.0) / 2.0
        centered = (1.0 + tolerance(position, margin=2.0)) / 2.0
        control = tolerance(action[0], margin=1.0, sigmoid="quadratic", value_at_margin=0.0)
        small_control = (4.0 + control) / 5.0
        small_velocity = (1.0 + tolerance(state.qvel[1], margin=5.0)) / 2.0
        dense = upright * small_control * small_velocity * centered
        return jnp.where(params.sparse, sparse, dense)
