"""The optimiser of a training run: learning-rate schedules, gradient clipping."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from agents.config import PPOConfig
from metaenvs import errors

SCHEDULES: dict[str, Callable[[float, int], optax.Schedule]] = {
    "constant": lambda rate, steps: optax.constant_schedule(rate),
    "linear": lambda rate, steps: optax.linear_schedule(rate, 0.0, steps),
    "cosine": lambda rate, steps: optax.cosine_decay_schedule(rate, steps),
}
"""How the learning rate goes from its peak over a number of gradient steps."""


def schedule(config: PPOConfig, steps: int) -> optax.Schedule:
    """Learning rate by gradient step, over a run of `steps`.

    It rises linearly from zero for the first `config.warmup` of the run, and then follows
    `config.schedule`.

    Raises:
        ValueError: unknown schedule; the message lists the choices.
    """
    after = errors.lookup(SCHEDULES, config.schedule, "schedule")
    warmup = round(config.warmup * steps)
    rest = after(config.learning_rate, max(steps - warmup, 1))
    if not warmup:
        return rest
    rise = optax.linear_schedule(0.0, config.learning_rate, warmup)
    return optax.join_schedules([rise, rest], [warmup])


LEAST_RATE = 0.02
"""Factor below which `adapted` does not lower a learning rate."""


def adapted(rate: jax.Array | None, kl: jax.Array, target: float | None) -> jax.Array | None:
    """The factor on the learning rate after an update that changed the policy by `kl`.

    It falls by a third where `kl` is above the target, rises by half where it is below half
    of it, and stays between `LEAST_RATE` and 1. Source: Schulman et al. 2017, section 4,
    whose penalty follows the KL by the same rule.
    """
    if rate is None or target is None:
        return rate
    factor = jnp.where(kl > target, 1 / 1.5, jnp.where(kl < target / 2, 1.5, 1.0))
    return jnp.clip(rate * factor, LEAST_RATE, 1.0)


def make(config: PPOConfig, rate: optax.Schedule) -> optax.GradientTransformation:
    """Adam behind a limit on the norm of the whole gradient."""
    clip = optax.clip_by_global_norm(config.max_grad_norm)
    return optax.chain(clip, optax.adam(rate, eps=1e-5))
