"""A finger of two links that must spin, or turn, a body on a hinge by touching it."""

import math
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState
from metaenvs.tasks.physics.inertia import capsule_inertia, capsule_mass
from metaenvs.tasks.physics.integrators import semi_implicit_euler
from metaenvs.tasks.physics.soft_constraints import (
    Softness,
    dry_friction,
    elliptic_cone,
    length_to_reversal,
    one_sided,
    slides,
)
from metaenvs.tasks.physics.trigonometry import sin_cos
from metaenvs.tasks.physics.two_link import (
    SymmetricMatrix,
    TwoLink,
    mass_matrix,
    velocity_forces,
)
from metaenvs.types import Scalar

_TIMESTEP = 0.01
_SUBSTEPS = 2
# No more than 7 were needed in any of 400,000 control steps rich in contact.
_NEWTON_STEPS = 8
_JOINT_SOFTNESS = Softness()
_CONTACT_SOFTNESS = Softness(impedance_at_zero=0.0, impedance_at_width=0.9, width=0.01)

# Lengths in m. Capsules are given by their cylinder. Along the proximal link, from its
# joint: a capsule that starts there, and the distal link's joint. Along the distal link:
# a capsule that starts there and touches nothing, the fingertip, the touch sensors.
_PROXIMAL_LENGTH, _PROXIMAL_RADIUS = 0.17, 0.03
_DISTAL_JOINT = 0.18
_DISTAL_LENGTH, _DISTAL_RADIUS = 0.16, 0.028
_TIP_MIDDLE, _TIP_HALF_LENGTH, _TIP_RADIUS = 0.1455, 0.0155, 0.03
_SENSOR_PLACE, _SENSOR_RADIUS = 0.17, 0.025
_SENSOR_SIDE = np.array([0.01, -0.01], np.float32)  # top, bottom
# Two parallel capsules make the body on the hinge.
_CAP_SIDE = np.array([0.02, -0.02], np.float32)
_CAP_HALF_LENGTH, _CAP_RADIUS = 0.09, 0.04
_BODY_TIP = _CAP_HALF_LENGTH + _CAP_RADIUS
# (radius, length) of the cylinders about the two fixed axes.
_PROXIMAL_AXLE = (0.034, 0.066)
_HINGE_AXLE = (0.02, 0.09)

_SPIN_VELOCITY = 15.0

# A draw is clear of the body with probability 0.90, so in one of a million resets none of
# six is; such an episode starts with a contact.
_START_DRAWS = 6


class FingerParams(TaskParams):
    """Data of the tasks and dynamics. Angles in rad, damping in N m s/rad, torques in N m.

    `target_radius` (m) and `hinge_damping` choose the task. `proximal_gear` and
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


class FingerState(TaskState):
    """`touch [2]`: force (N) on the top and bottom sensor in the last substep."""

    touch: jax.Array


class FingerTurnState(FingerState):
    """`target [2]`: x and z (m) of the target from the hinge."""

    target: jax.Array


TFingerState = TypeVar("TFingerState", bound=FingerState)


class _Inertias(NamedTuple):
    """What the equations of motion need of the params; MuJoCo's compiler's part.

    `hinge` is the body's moment of inertia; the inverse weights are MuJoCo's
    `dof_invweight0` of the finger's joints and `diagApprox` of a contact.
    """

    links: TwoLink
    hinge: Scalar
    proximal_inverse_weight: Scalar
    distal_inverse_weight: Scalar
    contact_inverse_weight: Scalar


def _inertias(params: FingerParams) -> _Inertias:
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
        first=axle(*_PROXIMAL_AXLE) + proximal[2] + mass * _DISTAL_JOINT**2,
        second=second_moment,
        coupling=_DISTAL_JOINT * first_moment,
    )
    # MuJoCo takes the weights from the straight finger; a body's is that of its centre of
    # mass, averaged over three axes of which it moves along one. The body on the hinge
    # does not move there at all.
    straight = mass_matrix(links, 1.0).inverse()
    middle = first_moment / mass
    return _Inertias(
        links=links,
        hinge=2.0 * cap[2] + axle(*_HINGE_AXLE),
        proximal_inverse_weight=straight.xx,
        distal_inverse_weight=straight.xx - 2.0 * straight.xy + straight.yy,
        contact_inverse_weight=(
            _DISTAL_JOINT**2 * straight.xx
            + 2.0 * _DISTAL_JOINT * middle * straight.xy
            + middle**2 * straight.yy
        )
        / 3.0,
    )


class _Pose(NamedTuple):
    """Unit vectors along the links and along the body, towards its tip."""

    proximal_x: jax.Array
    proximal_z: jax.Array
    distal_x: jax.Array
    distal_z: jax.Array
    body_x: jax.Array
    body_z: jax.Array


def _pose(qpos: jax.Array) -> _Pose:
    sine, cosine = sin_cos(jnp.stack([qpos[0], qpos[0] + qpos[1], qpos[2]]))
    return _Pose(cosine[0], sine[0], cosine[1], sine[1], -sine[2], cosine[2])


class _Contacts(NamedTuple):
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


def _touch_body(pose: _Pose, params: FingerParams) -> _Contacts:
    """The nearest points of two segments, one of which ends where the other is nearest."""
    tip_x = _DISTAL_JOINT * pose.proximal_x + _TIP_MIDDLE * pose.distal_x
    tip_z = _DISTAL_JOINT * pose.proximal_z + _TIP_MIDDLE * pose.distal_z
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
    return _Contacts(
        normal_x,
        normal_z,
        distance,
        tip_x + on_tip * pose.distal_x + depth * normal_x,
        tip_z + on_tip * pose.distal_z + depth * normal_z,
    )


def _touch_sensors(
    contacts: _Contacts, force: jax.Array, sensor_x: jax.Array, sensor_z: jax.Array
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


class _Substep(NamedTuple):
    qpos: jax.Array
    qvel: jax.Array
    touch: jax.Array


def _substep(
    qpos: jax.Array,
    qvel: jax.Array,
    action: jax.Array,
    params: FingerParams,
    inertias: _Inertias,
) -> _Substep:
    # The unknowns are accelerations of the links' absolute angles and of the hinge.
    links = inertias.links
    rate1, rate2, hinge_rate = qvel[0], qvel[0] + qvel[1], qvel[2]
    pose = _pose(qpos)
    bend_sine, bend_cosine = sin_cos(qpos[1])
    mass = mass_matrix(links, bend_cosine)

    torque1 = params.proximal_gear * action[0] - params.joint_damping * qvel[0]
    torque2 = params.distal_gear * action[1] - params.joint_damping * qvel[1]
    velocity1, velocity2 = velocity_forces(links, bend_sine, rate1, rate2)
    # A joint's torque acts on the link beyond it, and back on the one before.
    free1, free2 = mass.inverse().times(torque1 - torque2 + velocity1, torque2 + velocity2)
    hinge_free = -params.hinge_damping * hinge_rate / inertias.hinge

    # Limits and dry friction.
    side = jnp.where(qpos[:2] < 0.0, 1.0, -1.0)
    room = params.joint_limit - jnp.abs(qpos[:2])
    impedance = _JOINT_SOFTNESS.impedance(jnp.maximum(-room, 0.0))
    limit_stiff = jnp.where(
        room < 0.0,
        _JOINT_SOFTNESS.weight(
            impedance,
            jnp.stack([inertias.proximal_inverse_weight, inertias.distal_inverse_weight]),
        ),
        0.0,
    )
    limit_reference = (
        _JOINT_SOFTNESS.pull(impedance, room) - _JOINT_SOFTNESS.damping * side * qvel[:2]
    )
    hinge_stiff = _JOINT_SOFTNESS.weight(_JOINT_SOFTNESS.impedance_at_zero, 1.0 / inertias.hinge)
    hinge_reference = -_JOINT_SOFTNESS.damping * hinge_rate

    # Contacts: rows of the Jacobian along the normal and along the tangent (-z, x).
    contacts = _touch_body(pose, params)
    joint_x, joint_z = _DISTAL_JOINT * pose.proximal_x, _DISTAL_JOINT * pose.proximal_z
    arms = (
        (-joint_x, -joint_z),
        (joint_x - contacts.at_x, joint_z - contacts.at_z),
        (contacts.at_x - params.hinge_distance, contacts.at_z),
    )
    normal = tuple(x * contacts.z - z * contacts.x for x, z in arms)
    tangent = tuple(x * contacts.x + z * contacts.z for x, z in arms)
    impedance = _CONTACT_SOFTNESS.impedance(jnp.maximum(-contacts.distance, 0.0))
    contact_stiff = jnp.where(
        contacts.distance < 0.0,
        _CONTACT_SOFTNESS.weight(impedance, inertias.contact_inverse_weight),
        0.0,
    )

    def along(row: tuple[jax.Array, ...], a1, a2, a3) -> jax.Array:
        return row[0] * a1 + row[1] * a2 + row[2] * a3

    contact_damping = _CONTACT_SOFTNESS.damping
    normal_reference = _CONTACT_SOFTNESS.pull(
        impedance, contacts.distance
    ) - contact_damping * along(normal, rate1, rate2, hinge_rate)
    tangent_reference = -contact_damping * along(tangent, rate1, rate2, hinge_rate)

    def at_contacts(a1, a2, a3) -> tuple[jax.Array, jax.Array]:
        """Normal and tangential acceleration less their references."""
        return (
            along(normal, a1, a2, a3) - normal_reference,
            along(tangent, a1, a2, a3) - tangent_reference,
        )

    def newton_step(acceleration: jax.Array, _: None) -> tuple[jax.Array, None]:
        a1, a2, a3 = acceleration
        limit = one_sided(side * jnp.stack([a1, a2 - a1]) - limit_reference, limit_stiff)
        hinge = dry_friction(a3 - hinge_reference, hinge_stiff, params.hinge_friction)
        cone = elliptic_cone(*at_contacts(a1, a2, a3), contact_stiff, params.friction)
        push = side * limit.gradient

        inertial1, inertial2 = mass.times(a1 - free1, a2 - free2)
        contact_push = [
            jnp.sum(n * cone.normal + t * cone.tangent)
            for n, t in zip(normal, tangent, strict=True)
        ]
        gradient1 = inertial1 + push[0] - push[1] + contact_push[0]
        gradient2 = inertial2 + push[1] + contact_push[1]
        gradient3 = inertias.hinge * (a3 - hinge_free) + hinge.gradient + contact_push[2]

        def curvature(i: int, j: int) -> jax.Array:
            return jnp.sum(
                normal[i] * normal[j] * cone.normal_normal
                + (normal[i] * tangent[j] + tangent[i] * normal[j]) * cone.normal_tangent
                + tangent[i] * tangent[j] * cone.tangent_tangent
            )

        # Newton's 3x3 system: eliminate the hinge.
        inverse33 = 1.0 / (inertias.hinge + hinge.curvature + curvature(2, 2))
        h13, h23 = curvature(0, 2), curvature(1, 2)
        limit1, limit2 = limit.curvature
        finger = SymmetricMatrix(
            mass.xx + limit1 + limit2 + curvature(0, 0) - h13 * h13 * inverse33,
            mass.xy - limit2 + curvature(0, 1) - h13 * h23 * inverse33,
            mass.yy + limit2 + curvature(1, 1) - h23 * h23 * inverse33,
        ).inverse()
        step1, step2 = finger.times(
            h13 * inverse33 * gradient3 - gradient1, h23 * inverse33 * gradient3 - gradient2
        )
        step3 = -inverse33 * (gradient3 + h13 * step1 + h23 * step2)

        to1, to2, to3 = a1 + step1, a2 + step2, a3 + step3
        before, after = a3 - hinge_reference, to3 - hinge_reference
        hinge_length = length_to_reversal(
            before,
            after,
            jnp.minimum(jnp.abs(before), jnp.abs(after)) * hinge_stiff > params.hinge_friction,
        )
        (before_normal, before), (after_normal, after) = (
            at_contacts(a1, a2, a3),
            at_contacts(to1, to2, to3),
        )
        contact_length = length_to_reversal(
            before,
            after,
            (contact_stiff > 0.0)
            & slides(before_normal, before, params.friction)
            & slides(after_normal, after, params.friction),
        )
        length = jnp.minimum(hinge_length, jnp.min(contact_length))
        return acceleration + length * jnp.stack([step1, step2, step3]), None

    # Without a contact this is how the hinge moves.
    sticking = (
        hinge_stiff
        * (hinge_free - hinge_reference)
        * inertias.hinge
        / (inertias.hinge + hinge_stiff)
    )
    hinge_start = (
        hinge_free
        - jnp.clip(sticking, -params.hinge_friction, params.hinge_friction) / inertias.hinge
    )
    acceleration, _ = jax.lax.scan(
        newton_step, jnp.stack([free1, free2, hinge_start]), None, length=_NEWTON_STEPS
    )
    a1, a2, a3 = acceleration

    cone = elliptic_cone(*at_contacts(a1, a2, a3), contact_stiff, params.friction)
    touch = _touch_sensors(
        contacts,
        -cone.normal,
        joint_x + _SENSOR_PLACE * pose.distal_x - _SENSOR_SIDE * pose.distal_z,
        joint_z + _SENSOR_PLACE * pose.distal_z + _SENSOR_SIDE * pose.distal_x,
    )

    # Damping of the two joints, as a matrix in absolute angles, is
    # damping * [[2, -1], [-1, 1]].
    implicit = _TIMESTEP * params.joint_damping
    damped = SymmetricMatrix(mass.xx + 2.0 * implicit, mass.xy - implicit, mass.yy + implicit)
    a1, a2 = damped.inverse().times(*mass.times(a1, a2))
    a3 = a3 * inertias.hinge / (inertias.hinge + _TIMESTEP * params.hinge_damping)
    qpos, qvel = semi_implicit_euler(qpos, qvel, jnp.stack([a1, a2 - a1, a3]), _TIMESTEP)
    return _Substep(qpos, qvel, touch)


class _Finger(DMControlTask[TFingerState, FingerParams]):
    """The physics of dm_control's finger and what its tasks have in common."""

    cheap = False
    dynamics = MappingProxyType(
        {
            "mass": ("density",),
            "damping": ("hinge_damping", "joint_damping"),
            "gear": ("proximal_gear", "distal_gear"),
        }
    )
    action_size = 2

    def _start(self, uniform: jax.Array, params: FingerParams) -> dict[str, jax.Array]:
        """A state at rest from `uniform [3, _START_DRAWS]` in [-1, 1)."""
        draws = uniform * jnp.stack([params.joint_limit, params.joint_limit, jnp.pi])[:, None]
        contacts = jax.vmap(lambda qpos: _touch_body(_pose(qpos), params), in_axes=1)(draws)
        first = jnp.argmax(jnp.all(contacts.distance > 0.0, axis=-1))
        return {
            "qpos": draws[:, first],
            "qvel": jnp.zeros((3,), jnp.float32),
            "time": jnp.zeros((), jnp.int32),
            "touch": jnp.zeros((2,), jnp.float32),
        }

    def advance(self, state: TFingerState, action: jax.Array, params: FingerParams) -> TFingerState:
        inertias = _inertias(params)

        def substep(carry: _Substep, _: None) -> tuple[_Substep, None]:
            return _substep(carry.qpos, carry.qvel, action, params, inertias), None

        start = _Substep(state.qpos, state.qvel, state.touch)
        end, _ = jax.lax.scan(substep, start, None, length=_SUBSTEPS)
        return state.replace(qpos=end.qpos, qvel=end.qvel, touch=end.touch)

    def _seen(self, state: FingerState) -> list[jax.Array]:
        sine, cosine = sin_cos(state.qpos[2])
        tip = _BODY_TIP * jnp.stack([-sine, cosine])
        return [state.qpos[:2], tip, state.qvel, jnp.log1p(state.touch)]


class FingerSpin(_Finger[FingerState]):
    """dm_control's finger: spin.

    - `qpos`: angles (rad) of the proximal joint (0: along +x, towards the hinge), of the
      distal joint (0: straight) and of the hinge (0: the body upright), all positive
      from +x to +z; `qvel` their rates. The hinge is not wrapped.
    - Action `[2]` in [-1, 1]: torques of the proximal and distal joint, 30 and 15 N m at 1.
    - Observation `[9]`: proximal and distal angle, x and z (m) of the body's tip from the
      hinge; the three rates (rad/s); log(1 + N) of the normal force on the fingertip's
      top and bottom sensor.
    - Reward: 1 while the hinge's rate is at most -15 rad/s, else 0.
    - Start: at rest, joints U(-110, 110) degrees and hinge U(-pi, pi), drawn until
      finger and body do not touch.
    - Physics: semi-implicit Euler with implicit joint damping, two substeps of 0.01 s per
      control step; no gravity. Soft constraints, solved together: the finger's joint
      limits, the hinge's dry friction, contacts of the fingertip with the body's two
      capsules, with elliptic friction. (Nothing else can touch.) The sensors show the
      last substep's forces. The hinge's damping is 0.03 N m s/rad.
    - No termination; truncated after 1000 steps (20 s).

    Source: dm_control/suite/finger.py and finger.xml.
    """

    observation_size = 9

    def initial_state(self, key: jax.Array, params: FingerParams) -> FingerState:
        uniform = jax.random.uniform(key, (3 * _START_DRAWS + 1,), jnp.float32, minval=-1.0)
        return FingerState(**self._start(uniform[:-1].reshape(3, _START_DRAWS), params))

    def observation(self, state: FingerState, params: FingerParams) -> jax.Array:
        return jnp.concatenate(self._seen(state))

    def reward(self, state: FingerState, action: jax.Array, params: FingerParams) -> jax.Array:
        return (state.qvel[2] <= -_SPIN_VELOCITY).astype(jnp.float32)


class FingerTurn(_Finger[FingerTurnState]):
    """dm_control's finger: turn_easy, turn_hard.

    - Coordinates, action and physics are `FingerSpin`'s, but the hinge's damping is
      0.5 N m s/rad.
    - Observation `[12]`: `FingerSpin`'s, then x and z (m) of the target from the hinge,
      and the distance (m) of the body's tip from the target's edge, negative inside.
    - Reward: 1 while the tip is inside the target, of radius 0.07 m (easy) or 0.03 m
      (hard), else 0.
    - Start: `FingerSpin`'s; the target in a uniform direction at the tip's distance from
      the hinge, 0.13 m, fixed for the episode.
    - No termination; truncated after 1000 steps (20 s).

    Source: dm_control/suite/finger.py and finger.xml.
    """

    observation_size = 12

    def initial_state(self, key: jax.Array, params: FingerParams) -> FingerTurnState:
        uniform = jax.random.uniform(key, (3 * _START_DRAWS + 1,), jnp.float32, minval=-1.0)
        sine, cosine = sin_cos(jnp.pi * uniform[-1])
        return FingerTurnState(
            **self._start(uniform[:-1].reshape(3, _START_DRAWS), params),
            target=_BODY_TIP * jnp.stack([sine, cosine]),
        )

    def _distance_to_target(self, state: FingerTurnState, params: FingerParams) -> jax.Array:
        sine, cosine = sin_cos(state.qpos[2])
        x = state.target[0] + _BODY_TIP * sine
        z = state.target[1] - _BODY_TIP * cosine
        return jnp.sqrt(x * x + z * z) - params.target_radius

    def observation(self, state: FingerTurnState, params: FingerParams) -> jax.Array:
        distance = self._distance_to_target(state, params)
        return jnp.concatenate([*self._seen(state), state.target, distance[None]])

    def reward(self, state: FingerTurnState, action: jax.Array, params: FingerParams) -> jax.Array:
        return (self._distance_to_target(state, params) <= 0.0).astype(jnp.float32)
