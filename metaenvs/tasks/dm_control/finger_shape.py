"""The finger and the body on its hinge: shapes, masses, and where they touch."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaenvs.tasks.base import TaskParams
from metaenvs.tasks.dm_control.physics.inertia import capsule_inertia, capsule_mass
from metaenvs.tasks.dm_control.physics.trigonometry import sin_cos
from metaenvs.tasks.dm_control.physics.two_link import TwoLink, mass_matrix
from metaenvs.types import Scalar

# Lengths in m. Capsules are given by their cylinder. Along the proximal link, from its
# joint: a capsule that starts there, and the distal link's joint. Along the distal link:
# a capsule that starts there and touches nothing, the fingertip, the touch sensors.
_PROXIMAL_LENGTH, _PROXIMAL_RADIUS = 0.17, 0.03
DISTAL_JOINT = 0.18
_DISTAL_LENGTH, _DISTAL_RADIUS = 0.16, 0.028
_TIP_MIDDLE, _TIP_HALF_LENGTH, _TIP_RADIUS = 0.1455, 0.0155, 0.03
SENSOR_PLACE, _SENSOR_RADIUS = 0.17, 0.025
SENSOR_SIDE = np.array([0.01, -0.01], np.float32)  # top, bottom
# Two parallel capsules make the body on the hinge.
_CAP_SIDE = np.array([0.02, -0.02], np.float32)
_CAP_HALF_LENGTH, _CAP_RADIUS = 0.09, 0.04
BODY_TIP = _CAP_HALF_LENGTH + _CAP_RADIUS
# (radius, length) of the cylinders about the two fixed axes.
_PROXIMAL_AXLE = (0.034, 0.066)
_HINGE_AXLE = (0.02, 0.09)


class FingerParams(TaskParams):
    """Data of the tasks and dynamics. Angles in rad, damping in N m s/rad, torques in N m.

    `target_radius` (m; 0: the body is to spin, there is no target) and `hinge_damping` choose
    the task. `proximal_gear` and
    `distal_gear` in N m per unit of action; `joint_limit` is the largest |angle| of the
    finger's two joints; `hinge_friction` is the hinge's dry friction, `friction` the
    contacts' ratio of tangential to normal force; `hinge_distance` (m) lies between the
    finger's first joint and the hinge (at less than 0.391 m the fingertip would pass
    through the hinge's axle, a contact that is not modelled); `density` in kg/m^3.
    """

    target_radius: float = 0.07
    hinge_damping: float = 0.5
    joint_damping: float = 2.5
    proximal_gear: float = 30.0
    distal_gear: float = 15.0
    joint_limit: float = math.radians(110.0)
    hinge_friction: float = 0.1
    friction: float = 1.0
    hinge_distance: float = 0.4
    density: float = 1000.0


class Inertias(NamedTuple):
    """What the equations of motion need of the params; MuJoCo's compiler's part.

    `hinge` is the body's moment of inertia; the inverse weights are MuJoCo's
    `dof_invweight0` of the finger's joints and `diagApprox` of a contact.
    """

    links: TwoLink
    hinge: Scalar
    proximal_inverse_weight: Scalar
    distal_inverse_weight: Scalar
    contact_inverse_weight: Scalar


def inertias_of(params: FingerParams) -> Inertias:
    def capsule(length: float, radius: float, middle: float) -> tuple[Scalar, ...]:
        """Mass, first and second moment about the joint."""
        mass = capsule_mass(length, radius, params.density)
        return (
            mass,
            mass * middle,
            capsule_inertia(mass, length, radius) + mass * middle**2,
        )

    def axle(radius: float, length: float) -> Scalar:
        return 0.5 * params.density * np.pi * radius**2 * length * radius**2

    proximal = capsule(_PROXIMAL_LENGTH, _PROXIMAL_RADIUS, 0.5 * _PROXIMAL_LENGTH)
    distal = capsule(_DISTAL_LENGTH, _DISTAL_RADIUS, 0.5 * _DISTAL_LENGTH)
    tip = capsule(2.0 * _TIP_HALF_LENGTH, _TIP_RADIUS, _TIP_MIDDLE)
    cap = capsule(2.0 * _CAP_HALF_LENGTH, _CAP_RADIUS, abs(float(_CAP_SIDE[0])))
    mass, first_moment, second_moment = (a + b for a, b in zip(distal, tip, strict=True))
    links = TwoLink(
        first=axle(*_PROXIMAL_AXLE) + proximal[2] + mass * DISTAL_JOINT**2,
        second=second_moment,
        coupling=DISTAL_JOINT * first_moment,
    )
    # MuJoCo takes the weights from the straight finger; a body's is that of its centre of
    # mass, averaged over three axes of which it moves along one. The body on the hinge
    # does not move there at all.
    straight = mass_matrix(links, 1.0).inverse()
    middle = first_moment / mass
    return Inertias(
        links=links,
        hinge=2.0 * cap[2] + axle(*_HINGE_AXLE),
        proximal_inverse_weight=straight.xx,
        distal_inverse_weight=straight.xx - 2.0 * straight.xy + straight.yy,
        contact_inverse_weight=(
            DISTAL_JOINT**2 * straight.xx
            + 2.0 * DISTAL_JOINT * middle * straight.xy
            + middle**2 * straight.yy
        )
        / 3.0,
    )


class Pose(NamedTuple):
    """Unit vectors along the links and along the body, towards its tip."""

    proximal_x: jax.Array
    proximal_z: jax.Array
    distal_x: jax.Array
    distal_z: jax.Array
    body_x: jax.Array
    body_z: jax.Array


def pose_of(qpos: jax.Array) -> Pose:
    sine, cosine = sin_cos(jnp.stack([qpos[0], qpos[0] + qpos[1], qpos[2]]))
    return Pose(cosine[0], sine[0], cosine[1], sine[1], -sine[2], cosine[2])


class Contacts(NamedTuple):
    """The fingertip's contacts with the body's two capsules: two of each.

    `(x, z)` is the unit normal from the fingertip to the capsule, `distance` between the
    surfaces is negative where they overlap; `(at_x, at_z)` is the point between them,
    from the finger's first joint.
    """

    x: jax.Array
    z: jax.Array
    distance: jax.Array
    at_x: jax.Array
    at_z: jax.Array


def touch_body(pose: Pose, params: FingerParams) -> Contacts:
    """The nearest points of two segments, one of which ends where the other is nearest."""
    tip_x = DISTAL_JOINT * pose.proximal_x + _TIP_MIDDLE * pose.distal_x
    tip_z = DISTAL_JOINT * pose.proximal_z + _TIP_MIDDLE * pose.distal_z
    # From the capsules' middles to the fingertip's.
    x = tip_x - params.hinge_distance - _CAP_SIDE * pose.body_z
    z = tip_z + _CAP_SIDE * pose.body_x

    sine = pose.distal_x * pose.body_z - pose.distal_z * pose.body_x
    cosine = pose.distal_x * pose.body_x + pose.distal_z * pose.body_z
    # Where the lines cross; parallel ones have no such point, and any other will do.
    sine = jnp.where(jnp.abs(sine) < 1e-9, 1e-9, sine)
    on_tip = jnp.clip(
        (z * pose.body_x - x * pose.body_z) / sine, -_TIP_HALF_LENGTH, _TIP_HALF_LENGTH
    )
    on_tip_along_body = x * pose.body_x + z * pose.body_z
    on_cap = on_tip_along_body + on_tip * cosine
    beyond = jnp.abs(on_cap) > _CAP_HALF_LENGTH
    on_cap = jnp.clip(on_cap, -_CAP_HALF_LENGTH, _CAP_HALF_LENGTH)
    nearest_to_end = on_cap * cosine - (x * pose.distal_x + z * pose.distal_z)
    on_tip = jnp.where(
        beyond, jnp.clip(nearest_to_end, -_TIP_HALF_LENGTH, _TIP_HALF_LENGTH), on_tip
    )

    normal_x = on_cap * pose.body_x - on_tip * pose.distal_x - x
    normal_z = on_cap * pose.body_z - on_tip * pose.distal_z - z
    # Segments that cross, 7 cm deep, have no normal in the plane.
    square = jnp.maximum(normal_x**2 + normal_z**2, 1e-12)
    inverse = jax.lax.rsqrt(square)
    normal_x, normal_z = normal_x * inverse, normal_z * inverse
    distance = square * inverse - (_TIP_RADIUS + _CAP_RADIUS)
    depth = _TIP_RADIUS + 0.5 * distance
    return Contacts(
        normal_x,
        normal_z,
        distance,
        tip_x + on_tip * pose.distal_x + depth * normal_x,
        tip_z + on_tip * pose.distal_z + depth * normal_z,
    )


def touch_sensors(
    contacts: Contacts, force: jax.Array, sensor_x: jax.Array, sensor_z: jax.Array
) -> jax.Array:
    """`[2]`: the normal forces of the contacts that each sensor sees.

    MuJoCo counts a contact if the ray from it along its normal meets the sensor's zone.
    """
    x = contacts.at_x - sensor_x[:, None]
    z = contacts.at_z - sensor_z[:, None]
    outside = x * x + z * z - _SENSOR_RADIUS**2
    away = x * contacts.x + z * contacts.z
    seen = (outside <= 0.0) | ((away <= 0.0) & (away**2 >= outside))
    return jnp.sum(jnp.where(seen, force, 0.0), axis=-1)
