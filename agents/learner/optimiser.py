"""The optimiser of a training run: learning-rate schedules, gradient clipping."""

from collections.abc import Callable

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


def make(config: PPOConfig, rate: optax.Schedule) -> optax.GradientTransformation:
    """Adam behind a limit on the norm of the whole gradient."""
    clip = optax.clip_by_global_norm(config.max_grad_norm)
    return optax.chain(clip, optax.adam(rate, eps=1e-5))
