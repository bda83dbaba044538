"""Small dense linear algebra that batches well: loops over columns, no LAPACK.

A trial's maps are a dozen numbers wide, and thousands of them are drawn side by side.
Through XLA's LAPACK calls each would be a call of its own, and on a CPU with two
threads a batch of 10,000 was seen to hang for ever (jax 0.10.2).
"""

import jax
import jax.numpy as jnp


def orthonormal_columns(matrix: jax.Array) -> jax.Array:
    """Q of the QR decomposition with positive diagonal of R. `[m, n]`, m >= n.

    Gram-Schmidt, each column orthogonalised twice, which is enough for orthogonality to
    rounding error (Giraud et al. 2005, doi 10.1007/s00211-005-0615-4).
    """

    def column(j, q):
        v = matrix[:, j]
        for _ in range(2):
            v = v - q @ (q.T @ v)
        return q.at[:, j].set(v * jax.lax.rsqrt(jnp.sum(v * v)))

    return jax.lax.fori_loop(0, matrix.shape[1], column, jnp.zeros_like(matrix))


def pseudo_inverse(matrix: jax.Array) -> jax.Array:
    """`[n, m]` of a matrix `[m, n]` whose non-zero rows are linearly independent.

    Greville's recursion over the rows; a zero row gives a zero column.
    """

    def row(k, inverse):
        m = matrix[k]
        c = m  # its part orthogonal to the rows before it
        for _ in range(2):
            c = c - inverse @ (matrix @ c)
        length = jnp.sum(c * c)
        b = jnp.where(length > 0, c / jnp.where(length > 0, length, 1.0), 0.0)
        return (inverse - jnp.outer(b, m @ inverse)).at[:, k].set(b)

    return jax.lax.fori_loop(0, matrix.shape[0], row, jnp.zeros_like(matrix.T))
