"""Running means and variances, for inputs and rewards of unknown scale."""

import jax
import jax.numpy as jnp
from flax import struct


class Moments(struct.PyTreeNode):
    """Mean and variance of all that was seen so far, per component.

    Attributes:
        count: how many; 0 at first, when the mean is 0 and the variance 1.
        mean, variance: `[...]`.
    """

    count: jax.Array
    mean: jax.Array
    variance: jax.Array

    @classmethod
    def of_shape(cls, shape: tuple[int, ...]) -> "Moments":
        """Nothing seen yet."""
        return cls(jnp.zeros(()), jnp.zeros(shape), jnp.ones(shape))

    def updated(self, x: jax.Array) -> "Moments":
        """With `x [n..., *shape]` seen too. Source: Chan, Golub and LeVeque 1983."""
        axes = tuple(range(x.ndim - self.mean.ndim))
        n = x.size / self.mean.size
        count = self.count + n
        shift = x.mean(axes) - self.mean
        mean = self.mean + shift * n / count
        squares = self.variance * self.count + x.var(axes) * n
        squares += shift**2 * self.count * n / count
        return Moments(count, mean, squares / count)

    def normalise(self, x: jax.Array, limit: float = 10.0) -> jax.Array:
        """`x [..., *shape]` with mean 0 and variance 1, clipped to ± `limit`."""
        z = (x - self.mean) / jnp.sqrt(self.variance + 1e-8)
        return jnp.clip(z, -limit, limit)


class RewardScale(struct.PyTreeNode):
    """The spread of the discounted sum of rewards so far, by which rewards are divided.

    Attributes:
        sums: `[B]` of the trials under way.
        moments: of all such sums.
    """

    sums: jax.Array
    moments: Moments

    @classmethod
    def of_envs(cls, envs: int) -> "RewardScale":
        return cls(jnp.zeros(envs), Moments.of_shape(()))

    def updated(self, reward: jax.Array, ended: jax.Array, gamma: float) -> "RewardScale":
        """After a rollout's rewards `[T, B]`; `ended [T, B]` where a trial did."""

        def add(total, step):
            reward, ended = step
            total = gamma * total + reward
            return jnp.where(ended, 0.0, total), total

        sums, seen = jax.lax.scan(add, self.sums, (reward, ended))
        return RewardScale(sums, self.moments.updated(seen))

    def apply(self, reward: jax.Array) -> jax.Array:
        return reward / jnp.sqrt(self.moments.variance + 1e-8)
