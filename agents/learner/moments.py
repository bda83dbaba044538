"""Running means and variances, for inputs and rewards of unknown scale."""

from typing import NamedTuple

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


class ByTask(NamedTuple):
    """Of K tasks in a batch, `[K]` each: how often, mean and variance; 0 of absent ones."""

    elements: jax.Array
    mean: jax.Array
    variance: jax.Array


def by_task(x: jax.Array, task_id: jax.Array, n_tasks: int) -> ByTask:
    """Moments of `x [T, B]` within each task of `task_id [T, B]`."""
    member = jax.nn.one_hot(task_id, n_tasks)
    count = member.sum((0, 1))
    least = jnp.maximum(count, 1.0)
    mean = jnp.einsum("tb,tbk->k", x, member) / least
    variance = jnp.einsum("tb,tbk->k", (x - mean[task_id]) ** 2, member) / least
    return ByTask(count, mean, variance)


class TaskScale(struct.PyTreeNode):
    """Mean and spread of K tasks' value targets of late: the units a value is learned in.

    Tasks that pay little have small values; next to those of tasks that pay much, an error that
    is all of theirs counts for nothing, and a value learned in units of rewards does not see them.
    Follows the targets slowly, so that the network can follow the units.

    Source: Hessel et al. 2019 (PopArt, arXiv 1809.04474), whose correction of the output layer
    at each change of the units is left out: changes are small.

    Attributes:
        seen: `[K]` rollouts with the task, each counted once.
        mean, variance: `[K]`; 0 and 1 at first.
    """

    seen: jax.Array
    mean: jax.Array
    variance: jax.Array

    RATE = 0.05
    """Weight of a rollout's targets, after the first few."""
    LEAST = 0.02
    """A task's targets are taken to spread at least so much: where nothing is paid, noise must
    not become all."""

    @classmethod
    def of_tasks(cls, tasks: int, learned: bool = False) -> "TaskScale":
        """Nothing seen yet. A value that was `learned` in units of rewards before is left in
        them at first, and taken out of them slowly."""
        seen = 1 / cls.RATE if learned else 0.0
        return cls(jnp.full(tasks, seen, jnp.float32), jnp.zeros(tasks), jnp.ones(tasks))

    def updated(self, target: jax.Array, task_id: jax.Array) -> "TaskScale":
        """After a rollout's targets `[T, B]`, in units of rewards, of tasks `task_id [T, B]`."""
        count, mean, variance = by_task(target, task_id, self.seen.size)
        variance = jnp.maximum(variance, self.LEAST**2)
        rate = jnp.where(count > 0, jnp.maximum(self.RATE, 1 / (self.seen + 1)), 0.0)
        return TaskScale(
            self.seen + (count > 0),
            self.mean + rate * (mean - self.mean),
            self.variance + rate * (variance - self.variance),
        )

    def to_rewards(self, value: jax.Array, task_id: jax.Array) -> jax.Array:
        """A value `[...]` in these units, in units of rewards; `task_id [...]`."""
        return self.mean[task_id] + jnp.sqrt(self.variance)[task_id] * value

    def from_rewards(self, target: jax.Array, task_id: jax.Array) -> jax.Array:
        """Inverse of `to_rewards`."""
        return (target - self.mean[task_id]) / jnp.sqrt(self.variance)[task_id]


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
