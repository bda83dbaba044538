"""Free random projections: random words in a few fixed rotations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from metaenvs.projections.base import ProjectionFamily

GENERATORS = 2
WORD_LENGTH = 8


@functools.cache
def letters(size: int) -> np.ndarray:
    """`[2 GENERATORS, size, size]`: the generators and their inverses.

    Rotations, Haar-distributed, drawn once and for all from a frozen seed: the family is
    the set of words in them.
    """
    gaussian = np.random.default_rng(250406983).normal(size=(GENERATORS, size, size))
    q, r = np.linalg.qr(gaussian)
    q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[:, None, :]
    q[..., 0] *= np.linalg.det(q)[:, None]  # two reflections of a plane make few words
    return np.concatenate([q, q.transpose(0, 2, 1)]).astype(np.float32)


def word(key: jax.Array, size: int) -> jax.Array:
    """`[size, size]`: the product of `WORD_LENGTH` letters, uniform and independent."""
    chosen = jax.random.randint(key, (WORD_LENGTH,), 0, 2 * GENERATORS)
    alphabet = jnp.asarray(letters(size))
    product = jnp.eye(size)
    for i in range(WORD_LENGTH):
        product = alphabet[chosen[i]] @ product
    return product


class Free(ProjectionFamily):
    """Words in the free group of two generators, represented by orthogonal matrices.

    Hayase, Collins and Inoue 2025, "Free Random Projection for In-Context Reinforcement
    Learning" (arXiv 2504.06983): M_o = T_2 U_w T_1 with a random word w in fixed
    orthogonal generators U and truncations T. Words that share a beginning give related
    projections, so the family has a tree's structure, which Haar-distributed matrices
    lack. Condition number 1. Here: 2 rotations of the agent's size and their inverses,
    words of 8 letters. Rotations of a plane commute, so that at two actions the family has
    81 action maps, and at one action a single one.
    """

    orthonormal_actions = True

    def observation_map(self, key, n_obs):
        return word(key, self.obs_size)[:, : self.max_obs]

    def action_map(self, key, n_act):
        return word(key, self.action_size)[: self.max_act]
