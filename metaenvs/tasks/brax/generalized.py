"""Brax's generalized physics with its steps cut at another place, so that starts are cheap.

Brax ends a step by deriving from the new coordinates what the next one begins with:
centres of mass, inertias, contacts. A reset must then derive it all too, and a program
that resets inside its step holds that code several times. Here a step derives it first
and ends with the coordinates. Along a trajectory the same functions run in the same
order, so the numbers are Brax's; a state is a tenth as large, and a reset has to place
the links and no more.

Brax refines the inverse of the mass matrix from step to step by Newton-Schulz
iterations, to rounding error. Here each step inverts it outright, so that it is no part
of the state.

Import this module only where a Brax task is made: it imports Brax.
"""

from typing import Any

import jax
import jax.numpy as jnp
from brax import actuator, kinematics
from brax.generalized import constraint, dynamics, integrator, mass
from brax.generalized.base import State


def init(sys: Any, q: jax.Array, qd: jax.Array, *unused: Any) -> State:
    """The state of an episode's start."""
    x, xd = kinematics.forward(sys, q, qd)
    return State.init(q, qd, x, xd)  # type: ignore[arg-type]


def step(sys: Any, state: State, act: jax.Array, *unused: Any) -> State:
    """One step of the physics."""
    now = dynamics.transform_com(sys, state)
    now = now.replace(mass_mx_inv=inverse(mass.matrix(sys, now)))
    now = constraint.jacobian(sys, now)
    tau = actuator.to_tau(sys, act, now.q, now.qd)
    now = now.replace(qf_smooth=dynamics.forward(sys, now, tau))
    now = now.replace(qf_constraint=constraint.force(sys, now))
    now = integrator.integrate(sys, now)
    x, xd = kinematics.forward(sys, now.q, now.qd)
    return state.replace(q=now.q, qd=now.qd, x=x, xd=xd)


def inverse(matrix: jax.Array) -> jax.Array:
    """`[n, n]` inverse of a symmetric positive definite matrix, by the sweep operator.

    A loop over pivots instead of LAPACK, whose calls are one for each of a batch; then
    one Newton-Schulz iteration, which squares the error.
    """

    def sweep(k, a):
        pivot = a[k, k]
        row = (a[k] / pivot).at[k].set(1.0 / pivot)
        column = a[:, k].at[k].set(0.0)
        a = a.at[:, k].set(0.0)
        return (a - column[:, None] * row).at[k].set(row)

    rough = jax.lax.fori_loop(0, matrix.shape[0], sweep, matrix)
    return rough + rough @ (jnp.eye(matrix.shape[0]) - matrix @ rough)
