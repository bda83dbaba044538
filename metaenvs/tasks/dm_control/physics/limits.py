"""MuJoCo's soft joint limit as one scalar constraint, solved in closed form.

A joint's two limits are never violated together, so whichever is violated is the
only row of MuJoCo's constraint problem, and its convex optimisation has the solution
written here. See "Constraint model" and "Solver parameters" in MuJoCo's documentation.
"""

import jax
import jax.numpy as jnp

from metaenvs.tasks.dm_control.physics.soft_constraints import Softness
from metaenvs.types import Scalar

_DEFAULT = Softness()


def impedance(depth: jax.Array) -> jax.Array:
    """Impedance in (0, 1) at a violation of `depth >= 0` (m or rad), default `solimp`."""
    return _DEFAULT.impedance(depth)


def limit_force(
    position: jax.Array,
    velocity: jax.Array,
    *,
    lower: Scalar,
    upper: Scalar,
    free_acceleration: jax.Array,
    inverse_inertia: Scalar,
    inverse_weight: Scalar,
    timestep: float,
    time_constant: float = 0.02,
) -> jax.Array:
    """Generalised force of the limit on its joint: positive pushes `position` up.

    All arguments are scalars of the limited joint, in its units:
    `free_acceleration` is its acceleration without the limit, `inverse_inertia` its
    diagonal element of the inverse mass matrix now, `inverse_weight` the same element
    in the model's reference configuration (MuJoCo's `dof_invweight0`), and
    `time_constant` (s) the first number of `solreflimit`, whose second, the damping
    ratio, is 1. Zero where the limit is not violated.
    """
    # MuJoCo's `refsafe`: a stiffer spring than two time steps would not be stable.
    time_constant = max(time_constant, 2.0 * timestep)
    stiffness = 1.0 / (_DEFAULT.impedance_at_width * time_constant) ** 2
    damping = 2.0 / (_DEFAULT.impedance_at_width * time_constant)

    direction = jnp.where(position < 0.5 * (lower + upper), 1.0, -1.0)
    depth = jnp.maximum(lower - position, position - upper)
    impeded = impedance(jnp.maximum(depth, 0.0))
    regularisation = (1.0 - impeded) / impeded * inverse_weight
    reference = stiffness * impeded * depth - damping * direction * velocity
    force = (reference - direction * free_acceleration) / (inverse_inertia + regularisation)
    return jnp.where(depth > 0.0, direction * jnp.maximum(force, 0.0), 0.0)
