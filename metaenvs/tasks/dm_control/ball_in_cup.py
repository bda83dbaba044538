"""A cup on springs that must catch the ball hanging from it on a string."""

import itertools
import math
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState
from metaenvs.tasks.dm_control.physics.inertia import capsule_mass, sphere_mass
from metaenvs.tasks.dm_control.physics.integrators import semi_implicit_euler
from metaenvs.tasks.dm_control.physics.soft_constraints import Softness, one_sided, pyramidal_cone
from metaenvs.tasks.dm_control.physics.two_link import SymmetricMatrix
from metaenvs.types import Scalar

_TIMESTEP = 0.002
_SUBSTEPS = 10
# The most that any of 200,000 control steps rich in contact needed.
_NEWTON_STEPS = 5
_SOFTNESS = Softness()

# The cup's outline, in m from the cup's body: five capsules, from corner to corner.
_CORNERS = np.array(
    [[-0.05, 0.0], [-0.05, -0.075], [-0.025, -0.1], [0.025, -0.1], [0.05, -0.075], [0.05, 0.0]]
)
_WALL_START = _CORNERS[:-1].astype(np.float32)
_WALL = np.diff(_CORNERS, axis=0).astype(np.float32)
_WALL_LENGTHS = [math.dist(*ends) for ends in itertools.pairwise(_CORNERS)]
_WALL_INVERSE_SQUARE = (1.0 / np.square(_WALL_LENGTHS)).astype(np.float32)

# In m: origins of the cup's and the ball's coordinates, the string's end on the cup, and
# the middle and half the side of the square that counts as the cup's inside.
_CUP_HEIGHT = 0.6
_BALL_HEIGHT = 0.2
_STRING_END = -0.108
_TARGET_HEIGHT = -0.05
_TARGET_SIZE = 0.05

# A draw is clear of the cup with probability 0.82, so in one of a million resets none of
# eight is; such an episode starts with a contact.
_START_DRAWS = 8


class BallInCupParams(TaskParams):
    """Dynamics. Lengths in m, density in kg/m^3, gravity in m/s^2.

    `gear` in N per unit of action; `cup_stiffness` (N/m) and `cup_damping` (N s/m) hold
    the cup at its place; `wall_radius` is half the thickness of the cup's wall; the ball
    can be `string_length` away from the cup's foot; `friction` is the contacts' ratio of
    tangential to normal force. The cup has no contact with the ground, through which more
    than about 9 N could push it.
    """

    gear: float = 5.0
    cup_stiffness: float = 20.0
    cup_damping: float = 3.0
    wall_radius: float = 0.008
    ball_radius: float = 0.025
    density: float = 1000.0
    string_length: float = 0.3
    friction: float = 1.0
    gravity: float = 9.81


class _Touching(NamedTuple):
    """Where and how the ball touches one wall.

    `(x, z)` is the unit vector from the wall to the ball, `distance` between the
    surfaces is negative where they overlap.
    """

    x: jax.Array
    z: jax.Array
    distance: jax.Array


class _Contact(NamedTuple):
    """The ball's contact with one wall: `_Touching`'s vector, and its soft constraint.

    `stiff` is the weight, 0 where they do not touch; `normal` and `tangent` are the
    reference accelerations.
    """

    x: jax.Array
    z: jax.Array
    stiff: jax.Array
    normal: jax.Array
    tangent: jax.Array


# Walls are written out one by one: XLA vectorises over a batch what is a number for each
# environment, and a row of five it does not.
def _touch_walls(x: jax.Array, z: jax.Array, params: BallInCupParams) -> list[_Touching]:
    """The ball's centre is at `(x, z)` from the cup's body."""
    return [_touch_wall(wall, x, z, params) for wall in range(len(_WALL))]


def _touch_wall(wall: int, x: jax.Array, z: jax.Array, params: BallInCupParams) -> _Touching:
    (start_x, start_z), (length_x, length_z) = _WALL_START[wall], _WALL[wall]
    x, z = x - start_x, z - start_z
    along = jnp.clip((x * length_x + z * length_z) * _WALL_INVERSE_SQUARE[wall], 0.0, 1.0)
    x, z = x - along * length_x, z - along * length_z
    # The ball's centre on a wall's axis has no normal; any finite one will do.
    square = jnp.maximum(x * x + z * z, 1e-12)
    inverse = jax.lax.rsqrt(square)
    return _Touching(
        x * inverse, z * inverse, square * inverse - params.ball_radius - params.wall_radius
    )


class BallInCup(DMControlTask[TaskState, BallInCupParams]):
    """dm_control's ball_in_cup: catch.

    - `qpos`: x and z (m) of the cup from its place of rest and of the ball from a point
      0.4 m below that place; `qvel` their rates. Neither body turns.
    - Action `[2]` in [-1, 1]: force on the cup along x and z, 5 N at 1.
    - Observation `[8]`: `qpos`, `qvel` (m/s).
    - Reward: 1 while the whole ball, as a square, is inside the cup's inner square of
      side 0.1 m, else 0.
    - Start: cup at rest in its place; ball at rest, x U(-0.2, 0.2) and z U(0.2, 0.5),
      drawn until it does not touch the cup.
    - Physics: semi-implicit Euler with implicit joint damping, ten substeps of 0.002 s
      per control step. Soft constraints, solved together: the string's length, the
      ball's contacts with the cup's five walls and with the ground, with pyramidal
      friction. (The cup itself never reaches the ground.)
    - No termination; truncated after 1000 steps (20 s).

    Source: dm_control/suite/ball_in_cup.py and ball_in_cup.xml.
    """

    cheap = False
    dynamics = MappingProxyType(
        {
            "mass": ("density",),
            "length": ("string_length",),
            "damping": ("cup_damping",),
            "gear": ("gear",),
            "gravity": ("gravity",),
        }
    )
    observation_size = 8
    action_size = 2

    def initial_state(self, key: jax.Array, params: BallInCupParams) -> TaskState:
        uniform = jax.random.uniform(key, (2 * _START_DRAWS,), jnp.float32).reshape(2, -1)
        x = 0.4 * uniform[0] - 0.2
        z = 0.3 * uniform[1] + 0.2
        walls = _touch_walls(x, z + (_BALL_HEIGHT - _CUP_HEIGHT), params)
        free = jnp.all(jnp.stack([wall.distance for wall in walls]) > 0.0, axis=0)
        first = jnp.argmax(free)
        return TaskState(
            qpos=jnp.stack([jnp.zeros(()), jnp.zeros(()), x[first], z[first]]),
            qvel=jnp.zeros((4,), jnp.float32),
            time=jnp.zeros((), jnp.int32),
        )

    def advance(self, state: TaskState, action: jax.Array, params: BallInCupParams) -> TaskState:
        cup_mass = sum(
            (capsule_mass(n, params.wall_radius, params.density) for n in _WALL_LENGTHS), start=0.0
        )
        ball_mass = sphere_mass(params.ball_radius, params.density)

        def substep(carry: tuple[jax.Array, jax.Array], _: None):
            return _substep(*carry, action, params, cup_mass, ball_mass), None

        (qpos, qvel), _ = jax.lax.scan(substep, (state.qpos, state.qvel), None, length=_SUBSTEPS)
        return state.replace(qpos=qpos, qvel=qvel)

    def observation(self, state: TaskState, params: BallInCupParams) -> jax.Array:
        return jnp.concatenate([state.qpos, state.qvel])

    def reward(self, state: TaskState, action: jax.Array, params: BallInCupParams) -> jax.Array:
        x = state.qpos[2] - state.qpos[0]
        z = state.qpos[3] - state.qpos[1] + (_BALL_HEIGHT - _CUP_HEIGHT - _TARGET_HEIGHT)
        inside = jnp.maximum(jnp.abs(x), jnp.abs(z)) < _TARGET_SIZE - params.ball_radius
        return inside.astype(jnp.float32)


def _substep(
    qpos: jax.Array,
    qvel: jax.Array,
    action: jax.Array,
    params: BallInCupParams,
    cup_mass: Scalar,
    ball_mass: Scalar,
) -> tuple[jax.Array, jax.Array]:
    # All constraints but the ground's act between ball and cup: they see only the
    # ball's motion relative to the cup.
    x = qpos[2] - qpos[0]
    z = qpos[3] - qpos[1] + (_BALL_HEIGHT - _CUP_HEIGHT)
    x_rate = qvel[2] - qvel[0]
    z_rate = qvel[3] - qvel[1]
    damping = _SOFTNESS.damping

    # MuJoCo's body_invweight0 averages over three axes for the cup, though it cannot
    # move along y, and does not for the ball, whose frame is at its centre of mass.
    ball_weight = 1.0 / ball_mass
    wall_weight = 2.0 / (3.0 * cup_mass) + ball_weight
    edges = 2.0 * params.friction**2 * (1.0 + params.friction**2)

    def contact(wall: _Touching) -> _Contact:
        impedance = _SOFTNESS.impedance(jnp.maximum(-wall.distance, 0.0))
        return _Contact(
            wall.x,
            wall.z,
            stiff=jnp.where(
                wall.distance < 0.0, _SOFTNESS.weight(impedance, edges * wall_weight), 0.0
            ),
            normal=_SOFTNESS.pull(impedance, wall.distance)
            - damping * (wall.x * x_rate + wall.z * z_rate),
            tangent=-damping * (wall.x * z_rate - wall.z * x_rate),
        )

    walls = [contact(wall) for wall in _touch_walls(x, z, params)]

    foot = z - _STRING_END
    square = jnp.maximum(x * x + foot * foot, 1e-12)
    inverse = jax.lax.rsqrt(square)
    string_x, string_z = -x * inverse, -foot * inverse
    slack = params.string_length - square * inverse
    impedance = _SOFTNESS.impedance(jnp.maximum(-slack, 0.0))
    string_stiff = jnp.where(
        slack < 0.0, _SOFTNESS.weight(impedance, 1.0 / cup_mass + ball_weight), 0.0
    )
    string_reference = _SOFTNESS.pull(impedance, slack) - damping * (
        string_x * x_rate + string_z * z_rate
    )

    height = qpos[3] + (_BALL_HEIGHT - params.ball_radius)
    impedance = _SOFTNESS.impedance(jnp.maximum(-height, 0.0))
    ground_stiff = jnp.where(height < 0.0, _SOFTNESS.weight(impedance, edges * ball_weight), 0.0)
    ground_normal = _SOFTNESS.pull(impedance, height) - damping * qvel[3]
    ground_tangent = -damping * qvel[2]

    force = params.gear * action - params.cup_stiffness * qpos[:2] - params.cup_damping * qvel[:2]
    cup_free_x = force[0] / cup_mass
    cup_free_z = force[1] / cup_mass - params.gravity
    ball_free_z = -params.gravity

    def newton_step(acceleration: tuple[jax.Array, ...], _: None):
        cup_x, cup_z, ball_x, ball_z = acceleration
        relative_x, relative_z = ball_x - cup_x, ball_z - cup_z

        string = one_sided(
            string_x * relative_x + string_z * relative_z - string_reference, string_stiff
        )
        ground = pyramidal_cone(
            ball_z - ground_normal, ball_x - ground_tangent, ground_stiff, params.friction
        )
        # Gradient and curvature of the costs by the relative acceleration.
        pull_x, pull_z = string_x * string.gradient, string_z * string.gradient
        between = SymmetricMatrix(
            string_x**2 * string.curvature,
            string_x * string_z * string.curvature,
            string_z**2 * string.curvature,
        )
        for wall in walls:
            cone = pyramidal_cone(
                wall.x * relative_x + wall.z * relative_z - wall.normal,
                wall.x * relative_z - wall.z * relative_x - wall.tangent,
                wall.stiff,
                params.friction,
            )
            xx, xz, zz = wall.x**2, wall.x * wall.z, wall.z**2
            pull_x += wall.x * cone.normal - wall.z * cone.tangent
            pull_z += wall.z * cone.normal + wall.x * cone.tangent
            both = 2.0 * xz * cone.normal_tangent
            between = SymmetricMatrix(
                between.xx + xx * cone.normal_normal - both + zz * cone.tangent_tangent,
                between.xy
                + xz * (cone.normal_normal - cone.tangent_tangent)
                + (xx - zz) * cone.normal_tangent,
                between.yy + zz * cone.normal_normal + both + xx * cone.tangent_tangent,
            )
        cup_gradient = (
            cup_mass * (cup_x - cup_free_x) - pull_x,
            cup_mass * (cup_z - cup_free_z) - pull_z,
        )
        ball_gradient = (
            ball_mass * ball_x + pull_x + ground.tangent,
            ball_mass * (ball_z - ball_free_z) + pull_z + ground.normal,
        )

        # Newton's 4x4 system has blocks [[cup + between, -between],
        # [-between, ball + ground + between]]; eliminate the cup.
        inverse = SymmetricMatrix(
            cup_mass + between.xx, between.xy, cup_mass + between.yy
        ).inverse()
        together = SymmetricMatrix(
            cup_mass + ball_mass + ground.tangent_tangent - cup_mass**2 * inverse.xx,
            ground.normal_tangent - cup_mass**2 * inverse.xy,
            cup_mass + ball_mass + ground.normal_normal - cup_mass**2 * inverse.yy,
        ).inverse()
        shift_x, shift_z = inverse.times(*cup_gradient)
        ball_step = together.times(
            cup_mass * shift_x - cup_gradient[0] - ball_gradient[0],
            cup_mass * shift_z - cup_gradient[1] - ball_gradient[1],
        )
        shift_x, shift_z = inverse.times(
            cup_gradient[0] + cup_mass * ball_step[0], cup_gradient[1] + cup_mass * ball_step[1]
        )
        return (
            cup_x + ball_step[0] - shift_x,
            cup_z + ball_step[1] - shift_z,
            ball_x + ball_step[0],
            ball_z + ball_step[1],
        ), None

    # Numbers of each environment even where they start as constants, as a loop needs.
    still = jnp.zeros_like(cup_free_x)
    start = (cup_free_x, cup_free_z, still, still + ball_free_z)
    found, _ = jax.lax.scan(newton_step, start, None, length=_NEWTON_STEPS)
    acceleration = jnp.stack(found)
    mass = jnp.stack([cup_mass, cup_mass, ball_mass, ball_mass])
    damped_mass = mass + _TIMESTEP * jnp.stack([params.cup_damping, params.cup_damping, 0.0, 0.0])
    return semi_implicit_euler(qpos, qvel, acceleration * (mass / damped_mass), _TIMESTEP)
