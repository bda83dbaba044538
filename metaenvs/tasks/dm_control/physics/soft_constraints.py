"""MuJoCo's soft constraints in a plane: what a row of its convex problem costs.

MuJoCo's acceleration `a` minimises

    1/2 (a - a0)^T M (a - a0) + sum over constraints of s(J a - reference)

where `a0` is the acceleration without constraints. Each `s` is convex and piecewise
quadratic; here are its derivatives, which is all that Newton's method needs. `weight` is
MuJoCo's `1 / R`; a weight of 0 switches a row off. Everything is elementwise. See
"Constraint model" and "Solver parameters" in MuJoCo's documentation.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metaenvs.types import Scalar


class Row(NamedTuple):
    """First and second derivative of a scalar row's cost; its force is `-gradient`."""

    gradient: jax.Array
    curvature: jax.Array


class Cone(NamedTuple):
    """Derivatives of a contact's cost by its normal and tangential acceleration.

    The contact's force is `-(normal, tangent)`.
    """

    normal: jax.Array
    tangent: jax.Array
    normal_normal: jax.Array
    normal_tangent: jax.Array
    tangent_tangent: jax.Array


class Softness(NamedTuple):
    """MuJoCo's `solref` (with a damping ratio of 1) and `solimp` (midpoint 0.5, power 2).

    `time_constant` in s; impedances in (0, 1), reached at a violation of 0 and of `width`
    (m or rad).
    """

    time_constant: float = 0.02
    impedance_at_zero: float = 0.9
    impedance_at_width: float = 0.95
    width: float = 0.001

    def impedance(self, violation: jax.Array) -> jax.Array:
        """At a violation >= 0."""
        x = jnp.minimum(violation / self.width, 1.0)
        sigmoid = jnp.where(x <= 0.5, 2.0 * x**2, 1.0 - 2.0 * (1.0 - x) ** 2)
        # MuJoCo's mjMINIMP: an impedance of zero would have no finite regularisation.
        start = max(self.impedance_at_zero, 1e-4)
        return start + sigmoid * (self.impedance_at_width - start)

    def weight(self, impedance: Scalar, inverse_weight: Scalar) -> Scalar:
        """`1 / R`; `inverse_weight` is MuJoCo's `diagApprox`."""
        return impedance / ((1.0 - impedance) * inverse_weight)

    @property
    def damping(self) -> float:
        """Per s: minus the reference acceleration at a unit of velocity.

        `time_constant` is at least two timesteps in every model here, so MuJoCo's
        `refsafe` has nothing to do.
        """
        return 2.0 / (self.impedance_at_width * self.time_constant)

    def pull(self, impedance: jax.Array, distance: jax.Array) -> jax.Array:
        """Reference acceleration at rest; `distance` is negative where violated."""
        stiffness = 1.0 / (self.impedance_at_width * self.time_constant) ** 2
        return -stiffness * impedance * distance


def one_sided(x: jax.Array, weight: Scalar) -> Row:
    """A limit, which pushes only while `x = J a - reference` is negative."""
    return Row(weight * jnp.minimum(x, 0.0), jnp.where(x < 0.0, weight, 0.0))


def dry_friction(x: jax.Array, weight: Scalar, friction: Scalar) -> Row:
    """Friction of a joint (MuJoCo's `frictionloss`): a force of at most `friction`."""
    force = weight * x
    return Row(
        jnp.clip(force, -friction, friction), jnp.where(jnp.abs(force) < friction, weight, 0.0)
    )


def pyramidal_cone(normal: jax.Array, tangent: jax.Array, weight: Scalar, friction: Scalar) -> Cone:
    """MuJoCo's `condim="3"` contact with a pyramidal cone, in a plane.

    Of the pyramid's four edges `normal +- friction * tangent` two point along the
    tangent out of the plane, in which nothing moves: they are twice the normal.
    """
    sliding = friction * tangent
    forward = one_sided(normal + sliding, weight)
    backward = one_sided(normal - sliding, weight)
    across = one_sided(normal, 2.0 * weight)
    both = forward.curvature + backward.curvature
    return Cone(
        forward.gradient + backward.gradient + across.gradient,
        friction * (forward.gradient - backward.gradient),
        both + across.curvature,
        friction * (forward.curvature - backward.curvature),
        friction**2 * both,
    )


def elliptic_cone(normal: jax.Array, tangent: jax.Array, weight: Scalar, friction: Scalar) -> Cone:
    """MuJoCo's `condim="3"` contact with an elliptic cone and `impratio="1"`, in a plane.

    The cost is half the squared distance from `normal >= friction * |tangent|`. On the
    side where the tangent points, that is one row across the cone's edge and another
    along it, of which the second is active beyond the cone's tip only.
    """
    side = jnp.where(tangent < 0.0, -1.0, 1.0)
    cosine = jax.lax.rsqrt(1.0 + friction**2)
    sine = friction * cosine
    side_sine, side_cosine = side * sine, side * cosine
    edge = one_sided(cosine * normal - side_sine * tangent, weight)
    tip = one_sided(sine * normal + side_cosine * tangent, weight)
    return Cone(
        cosine * edge.gradient + sine * tip.gradient,
        side_cosine * tip.gradient - side_sine * edge.gradient,
        cosine**2 * edge.curvature + sine**2 * tip.curvature,
        side * cosine * sine * (tip.curvature - edge.curvature),
        sine**2 * edge.curvature + cosine**2 * tip.curvature,
    )


def slides(normal: jax.Array, tangent: jax.Array, friction: Scalar) -> jax.Array:
    """Whether an elliptic cone's tangential force is at its largest for the normal force."""
    return (normal < friction * jnp.abs(tangent)) & (friction * normal + jnp.abs(tangent) > 0.0)


def length_to_reversal(before: jax.Array, after: jax.Array, skips: jax.Array) -> jax.Array:
    """Part of a Newton step after which a sliding `x`, from `before` to `after`, is zero.

    From sliding one way, Newton's method does not see that friction sticks in between, and
    can step from one way of sliding to the other and back for ever. Where a step `skips`
    sticking, going only as far as this ends that; elsewhere it is 1.
    """
    reverses = skips & (before * after < 0.0)
    return jnp.where(reverses, before / jnp.where(reverses, before - after, 1.0), 1.0)
