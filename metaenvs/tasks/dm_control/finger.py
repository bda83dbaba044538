"""A finger of two links that must spin, or turn, a body on a hinge by touching it."""

from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metaenvs.tasks.base import DMControlTask, TaskState
from metaenvs.tasks.dm_control.finger_shape import (
    BODY_TIP,
    DISTAL_JOINT,
    SENSOR_PLACE,
    SENSOR_SIDE,
    FingerParams,
    Inertias,
    inertias_of,
    pose_of,
    touch_body,
    touch_sensors,
)
from metaenvs.tasks.dm_control.physics.integrators import semi_implicit_euler
from metaenvs.tasks.dm_control.physics.soft_constraints import (
    Softness,
    dry_friction,
    elliptic_cone,
    length_to_reversal,
    one_sided,
    slides,
)
from metaenvs.tasks.dm_control.physics.trigonometry import sin_cos
from metaenvs.tasks.dm_control.physics.two_link import (
    SymmetricMatrix,
    mass_matrix,
    velocity_forces,
)

_TIMESTEP = 0.01
_SUBSTEPS = 2
# No more than 7 were needed in any of 400,000 control steps rich in contact.
_NEWTON_STEPS = 8
_JOINT_SOFTNESS = Softness()
_CONTACT_SOFTNESS = Softness(impedance_at_zero=0.0, impedance_at_width=0.9, width=0.01)

_SPIN_VELOCITY = 15.0

# A draw is clear of the body with probability 0.90, so in one of a million resets none of
# six is; such an episode starts with a contact.
_START_DRAWS = 6


class FingerState(TaskState):
    """`touch [2]`: force (N) on the top and bottom sensor in the last substep; `target [2]`:
    x and z (m) of the target from the hinge, if the task has one."""

    touch: jax.Array
    target: jax.Array


class _Substep(NamedTuple):
    qpos: jax.Array
    qvel: jax.Array
    touch: jax.Array


def _substep(
    qpos: jax.Array,
    qvel: jax.Array,
    action: jax.Array,
    params: FingerParams,
    inertias: Inertias,
) -> _Substep:
    # The unknowns are accelerations of the links' absolute angles and of the hinge.
    links = inertias.links
    rate1, rate2, hinge_rate = qvel[0], qvel[0] + qvel[1], qvel[2]
    pose = pose_of(qpos)
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
    contacts = touch_body(pose, params)
    joint_x, joint_z = DISTAL_JOINT * pose.proximal_x, DISTAL_JOINT * pose.proximal_z
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
    touch = touch_sensors(
        contacts,
        -cone.normal,
        joint_x + SENSOR_PLACE * pose.distal_x - SENSOR_SIDE * pose.distal_z,
        joint_z + SENSOR_PLACE * pose.distal_z + SENSOR_SIDE * pose.distal_x,
    )

    # Damping of the two joints, as a matrix in absolute angles, is
    # damping * [[2, -1], [-1, 1]].
    implicit = _TIMESTEP * params.joint_damping
    damped = SymmetricMatrix(mass.xx + 2.0 * implicit, mass.xy - implicit, mass.yy + implicit)
    a1, a2 = damped.inverse().times(*mass.times(a1, a2))
    a3 = a3 * inertias.hinge / (inertias.hinge + _TIMESTEP * params.hinge_damping)
    qpos, qvel = semi_implicit_euler(qpos, qvel, jnp.stack([a1, a2 - a1, a3]), _TIMESTEP)
    return _Substep(qpos, qvel, touch)


class Finger(DMControlTask[FingerState, FingerParams]):
    """dm_control's finger: spin, turn_easy, turn_hard.

    - `qpos`: angles (rad) of the proximal joint (0: along +x, towards the hinge), of the
      distal joint (0: straight) and of the hinge (0: the body upright), all positive
      from +x to +z; `qvel` their rates. The hinge is not wrapped.
    - Action `[2]` in [-1, 1]: torques of the proximal and distal joint, 30 and 15 N m at 1.
    - Observation `[9]`: proximal and distal angle, x and z (m) of the body's tip from the
      hinge; the three rates (rad/s); log(1 + N) of the normal force on the fingertip's
      top and bottom sensor. With a target `[12]`: then x and z (m) of the target from the
      hinge, and the distance (m) of the body's tip from the target's edge, negative inside.
    - Reward: 1 while the hinge's rate is at most -15 rad/s (spin), or while the tip is
      inside the target, of radius 0.07 m (turn_easy) or 0.03 m (turn_hard); else 0.
    - Start: at rest, joints U(-110, 110) degrees and hinge U(-pi, pi), drawn until
      finger and body do not touch; the target in a uniform direction at the tip's distance
      from the hinge, 0.13 m, fixed for the episode.
    - Physics: semi-implicit Euler with implicit joint damping, two substeps of 0.01 s per
      control step; no gravity. Soft constraints, solved together: the finger's joint
      limits, the hinge's dry friction, contacts of the fingertip with the body's two
      capsules, with elliptic friction. (Nothing else can touch.) The sensors show the
      last substep's forces. The hinge's damping is 0.03 (spin) or 0.5 N m s/rad (turn).
    - No termination; truncated after 1000 steps (20 s).

    Source: dm_control/suite/finger.py and finger.xml.
    """

    cheap = False
    dynamics = MappingProxyType(
        {
            "mass": ("density",),
            "damping": ("hinge_damping", "joint_damping"),
            "gear": ("proximal_gear", "distal_gear"),
        }
    )
    action_size = 2

    def __init__(self, name: str, params: FingerParams):
        super().__init__(name, params)
        self.observation_size = 12 if params.target_radius else 9

    def initial_state(self, key: jax.Array, params: FingerParams) -> FingerState:
        uniform = jax.random.uniform(key, (3 * _START_DRAWS + 1,), jnp.float32, minval=-1.0)
        joints = jnp.stack([params.joint_limit, params.joint_limit, jnp.pi])
        draws = uniform[:-1].reshape(3, _START_DRAWS) * joints[:, None]
        contacts = jax.vmap(lambda qpos: touch_body(pose_of(qpos), params), in_axes=1)(draws)
        first = jnp.argmax(jnp.all(contacts.distance > 0.0, axis=-1))
        sine, cosine = sin_cos(jnp.pi * uniform[-1])
        return FingerState(
            qpos=draws[:, first],
            qvel=jnp.zeros((3,), jnp.float32),
            time=jnp.zeros((), jnp.int32),
            touch=jnp.zeros((2,), jnp.float32),
            target=BODY_TIP * jnp.stack([sine, cosine]),
        )

    def advance(self, state: FingerState, action: jax.Array, params: FingerParams) -> FingerState:
        inertias = inertias_of(params)

        def substep(carry: _Substep, _: None) -> tuple[_Substep, None]:
            return _substep(carry.qpos, carry.qvel, action, params, inertias), None

        start = _Substep(state.qpos, state.qvel, state.touch)
        end, _ = jax.lax.scan(substep, start, None, length=_SUBSTEPS)
        return state.replace(qpos=end.qpos, qvel=end.qvel, touch=end.touch)

    def observation(self, state: FingerState, params: FingerParams) -> jax.Array:
        sine, cosine = sin_cos(state.qpos[2])
        tip = BODY_TIP * jnp.stack([-sine, cosine])
        aim = jnp.append(state.target, _distance_to_target(state, params))
        # Where one program serves all three tasks, spin sees nothing of a target.
        aim = jnp.where(params.target_radius > 0.0, aim, 0.0)
        parts = [state.qpos[:2], tip, state.qvel, jnp.log1p(state.touch), aim]
        return jnp.concatenate(parts)[: self.observation_size]

    def reward(self, state: FingerState, action: jax.Array, params: FingerParams) -> jax.Array:
        spins = state.qvel[2] <= -_SPIN_VELOCITY
        turned = _distance_to_target(state, params) <= 0.0
        return jnp.where(params.target_radius > 0.0, turned, spins).astype(jnp.float32)


def _distance_to_target(state: FingerState, params: FingerParams) -> jax.Array:
    """From the body's tip to the target's edge, in m; negative inside."""
    sine, cosine = sin_cos(state.qpos[2])
    x = state.target[0] + BODY_TIP * sine
    z = state.target[1] - BODY_TIP * cosine
    return jnp.sqrt(x * x + z * z) - params.target_radius
