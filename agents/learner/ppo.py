"""Proximal policy optimisation: advantages and loss, as pure functions.

Source: Schulman et al. 2017 (arXiv 1707.06347), 2016 (GAE, arXiv 1506.02438).
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import struct

from agents.config import PPOConfig
from agents.learner.moments import by_task


class Rollout(struct.PyTreeNode):
    """Experience of B environments over T steps; every leaf is `[T, B, ...]`.

    Attributes:
        obs: what the agent saw.
        reset: whether its memory was emptied before it saw it.
        action: what it did, before clipping.
        log_prob, value: of the acting policy.
        reward: scaled.
        terminated, truncated: whether the trial ended with this step.
        final_value: value of the observation after a truncated trial's last step, else 0.
        privileged: what the critic was shown besides (`agents.learner.privileged`), or None.
        guided: what an expert would have done (`agents.learner.guidance`), or None.
    """

    obs: jax.Array
    reset: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_value: jax.Array
    privileged: jax.Array | None = None
    guided: jax.Array | None = None


def stop_at(rollout: Rollout, over: jax.Array) -> Rollout:
    """As if trials ended with the steps where `over [T, B]`: nothing after them counts."""
    return rollout.replace(terminated=rollout.terminated | over)


def gae(
    rollout: Rollout, last_value: jax.Array, gamma: float, gae_lambda: float
) -> tuple[jax.Array, jax.Array]:
    """Generalised advantage estimates and value targets, both `[T, B]`.

    The trace runs across episodes and is cut where a trial ends. A truncated trial's
    last step bootstraps from `final_value`, a terminated one's from nothing.
    `last_value [B]` is the value of the observation after the rollout.
    """
    chex.assert_equal_shape([rollout.reward, rollout.value, rollout.final_value])
    chex.assert_shape(last_value, rollout.value.shape[1:])
    next_value = jnp.concatenate([rollout.value[1:], last_value[None]])
    next_value = jnp.where(rollout.truncated, rollout.final_value, next_value)
    next_value = jnp.where(rollout.terminated, 0.0, next_value)
    delta = rollout.reward + gamma * next_value - rollout.value
    ended = rollout.terminated | rollout.truncated
    decay = gamma * gae_lambda * (1.0 - ended)

    def backward(advantage, step):
        delta, decay = step
        advantage = delta + decay * advantage
        return advantage, advantage

    _, advantages = jax.lax.scan(backward, jnp.zeros_like(last_value), (delta, decay), reverse=True)
    return advantages, advantages + rollout.value


def loss(
    policy: Any,
    value: jax.Array,
    rollout: Rollout,
    advantage: jax.Array,
    target: jax.Array,
    config: PPOConfig,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Clipped surrogate, value error and entropy bonus, and what to log of them.

    `policy` and `value` are the network's present answers to `rollout`; `advantage` is
    already normalised.
    """
    chex.assert_equal_shape([value, target, advantage, rollout.log_prob])
    log_ratio = policy.log_prob(rollout.action) - rollout.log_prob
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
    policy_loss = -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))
    value_loss = 0.5 * jnp.mean((value - target) ** 2)
    entropies = policy.entropy()
    entropy = jnp.mean(entropies)
    total = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy
    if config.entropy_floor is not None:
        missing = jnp.mean(jnp.maximum(config.entropy_floor - entropies, 0.0))
        total += config.entropy_floor_coef * missing
    metrics = {
        "loss": total,
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": jnp.mean(ratio - 1 - log_ratio),
        "clip_fraction": jnp.mean(jnp.abs(ratio - 1) > config.clip),
    }
    return total, metrics


def normalise(advantage: jax.Array, task_id: jax.Array, n_tasks: int) -> jax.Array:
    """Mean 0 and variance 1 within each task of the batch, `[T, B]`.

    Returns of different tasks differ by orders of magnitude; normalised together, the
    task that pays most would have the gradient to itself. Task ids are used in training
    only: the agent does not see them.
    """
    of = by_task(advantage, task_id, n_tasks)
    return (advantage - of.mean[task_id]) / (jnp.sqrt(of.variance)[task_id] + 1e-8)


def minibatches(key: jax.Array, n: int, count: int) -> jax.Array:
    """A random split of n sequences into `count` minibatches, `[count, n / count]`.

    Each takes one out of every `count` neighbours; `[m, g]` says which of the g-th
    neighbours minibatch m takes. So neighbours on one device go to all minibatches in
    equal parts, and none has to be sent to another device.
    """
    keys = jax.random.split(key, n // count)
    return jax.vmap(lambda key: jax.random.permutation(key, count))(keys).T


def minibatch(tree: Any, chosen: jax.Array, axis: int = 1) -> Any:
    """The sequences of a minibatch: along `axis`, n of them to the n / count that the row
    `chosen` of `minibatches` takes."""
    groups = chosen.shape[0]

    def leaf(x):
        neighbours = x.shape[axis] // groups
        return jnp.take(x, jnp.arange(groups) * neighbours + chosen, axis, mode="clip")

    return jax.tree.map(leaf, tree)
