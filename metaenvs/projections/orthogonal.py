"""Orthonormal projections, uniform in the Haar measure."""

import jax

from metaenvs.projections.base import ProjectionFamily
from metaenvs.projections.linear_algebra import orthonormal_columns


def haar(key: jax.Array, rows: int, columns: int) -> jax.Array:
    """`[rows, columns]` with orthonormal columns, uniform over all such matrices.

    Q of a Gaussian matrix's QR decomposition, which is Haar-distributed only if R's
    diagonal is positive (Mezzadri 2007, arXiv math-ph/0609050). Any first k columns are
    Haar-distributed too.
    """
    return orthonormal_columns(jax.random.normal(key, (rows * columns,)).reshape(rows, columns))


class Orthogonal(ProjectionFamily):
    """Orthonormal columns (observations) and rows (actions), Haar-distributed.

    The observation map has condition number 1: it turns the observation without
    distorting it.
    """

    orthonormal_actions = True

    def observation_map(self, key, n_obs):
        return haar(key, self.obs_size, self.max_obs)

    def action_map(self, key, n_act):
        return haar(key, self.action_size, self.max_act).T
