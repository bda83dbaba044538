"""Planar chain of two links on a fixed pivot, in the links' absolute angles.

With absolute angles the mass matrix is `[[first, c], [c, second]]`,
`c = coupling * cos(angle2 - angle1)`, and the velocity forces have one term each:
cheaper, and rounded less, than MuJoCo's relative angles.
"""

from typing import NamedTuple

import jax

from metaenvs.types import Scalar


class TwoLink(NamedTuple):
    """What the motion of two links depends on, besides the forces; all in kg m^2.

    `first`: moment of inertia about the pivot of the first link with the second one's
    mass at its end. `second`: of the second link about the joint between the two.
    `coupling`: length of the first link times the second one's mass times the distance
    of its centre of mass from the joint.
    """

    first: Scalar
    second: Scalar
    coupling: Scalar


class SymmetricMatrix(NamedTuple):
    """The 2x2 matrix `[[xx, xy], [xy, yy]]`."""

    xx: Scalar
    xy: Scalar
    yy: Scalar

    def inverse(self) -> "SymmetricMatrix":
        scale = 1.0 / (self.xx * self.yy - self.xy * self.xy)
        return SymmetricMatrix(self.yy * scale, -self.xy * scale, self.xx * scale)

    def times(self, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.xx * x + self.xy * y, self.xy * x + self.yy * y


def mass_matrix(links: TwoLink, cos_bend: Scalar) -> SymmetricMatrix:
    """In absolute angles; `cos_bend` is the cosine of the relative (second) joint angle."""
    return SymmetricMatrix(links.first, links.coupling * cos_bend, links.second)


def velocity_forces(
    links: TwoLink, sin_bend: jax.Array, rate1: jax.Array, rate2: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Centrifugal forces (N m) on the two absolute angles, whose rates are in rad/s."""
    scale = links.coupling * sin_bend
    return scale * rate2 * rate2, -scale * rate1 * rate1
