"""Signed permutations: the mildest projections, every number stays itself up to its sign."""

import jax
import jax.numpy as jnp

from metaenvs.projections.base import ProjectionFamily


def signed_permutation(key: jax.Array, rows: int, columns: int) -> jax.Array:
    """`[rows, columns]`, one +1 or -1 in every column, in different rows; uniform."""
    key_rows, key_signs = jax.random.split(key)
    row = jax.random.permutation(key_rows, rows)[:columns]
    return (
        jnp.zeros((rows, columns))
        .at[row, jnp.arange(columns)]
        .set(jax.random.rademacher(key_signs, (columns,), jnp.float32))
    )


class Permutation(ProjectionFamily):
    """Observations and actions in random places with random signs.

    A uniformly random signed permutation, of which the task's columns (observations) or
    rows (actions) are used. Condition number 1. The smallest useful class of unknown
    interfaces: 2^n O! / (O - n)! of them.
    """

    orthonormal_actions = True

    def observation_map(self, key, n_obs):
        return signed_permutation(key, self.obs_size, self.max_obs)

    def action_map(self, key, n_act):
        return signed_permutation(key, self.action_size, self.max_act).T
