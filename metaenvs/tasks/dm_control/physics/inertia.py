"""Masses and moments of inertia of geoms, as MuJoCo's compiler computes them.

Lengths in m, masses in kg, inertias in kg m^2 about the geom's own centre. Arguments
may be traced.
"""

import numpy as np

from metaenvs.types import Scalar


def sphere_mass(radius: Scalar, density: Scalar) -> Scalar:
    """Mass of a solid sphere; `density` in kg/m^3."""
    return density * (4.0 / 3.0 * np.pi) * radius**3


def sphere_inertia(mass: Scalar, radius: Scalar) -> Scalar:
    """Moment of inertia of a solid sphere about any diameter."""
    return 0.4 * mass * radius**2


def capsule_mass(length: Scalar, radius: Scalar, density: Scalar) -> Scalar:
    """Mass of a capsule whose cylinder is `length` long, caps not counted."""
    return density * np.pi * radius**2 * (length + 4.0 / 3.0 * radius)


def capsule_inertia(mass: Scalar, length: Scalar, radius: Scalar) -> Scalar:
    """Moment of inertia of a capsule about an axis across it.

    `length` is the cylinder's: a MuJoCo capsule given by `fromto` has its two end
    points there, and the caps stick out by `radius` beyond them.
    """
    caps = 4.0 / 3.0 * radius
    caps_mass = mass * caps / (length + caps)
    cylinder_mass = mass - caps_mass
    return (
        cylinder_mass * (3.0 * radius**2 + length**2) / 12.0
        + sphere_inertia(caps_mass, radius)
        + caps_mass * length * (3.0 * radius + 2.0 * length) / 8.0
    )
