"""Identification of a trial's dynamics: a linear model of them, fitted as the trial goes on.

What one decision does to the projected observation is written as a linear function of the
observation before it and the action, and so is its reward. Recursive least squares with forgetting
keep the model that fits best all that the trial has shown. Its parts turn with the projection:
`drift` maps observations to changes of observations, `push` actions to changes, `slope` is the
direction in which the reward rises. A task that is not linear is followed as far as forgetting
goes. What is rewarded may change from episode to episode of a trial, as a target does: `here` is
the direction in which the reward rises in this one, followed from its start by a Kalman filter.

`push` and `drift` together say how to move along a direction of the observation space, at once or
some decisions later: `push drift^k v` is the action that does so for v, as in the controllability
matrix of a linear system (`directions`).

Source: Ljung, System Identification (2nd edition, 1999), section 11.2, for the recursion.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

FORGETTING = 0.997
"""Weight, per decision, of what was seen before."""
PRIOR = 30.0
"""Variance of the model's entries before anything was seen, in units of the error's."""
WANDER = 1e-3
"""Variance, per decision, by which what is rewarded in an episode is taken to wander."""
VECTORS = 4
"""Of the observation space, that `vectors` gives."""


class Model(NamedTuple):
    """Linear models of B trials, and how sure they are.

    Attributes:
        weights: `[B, obs + action + 1, obs + 1]` of the observation before, the action and 1, for
            each component of the change and for the reward.
        spread: `[B, obs + action + 1, obs + action + 1]` covariance of the weights' errors.
        error: `[B, obs + 1]` of the last prediction; 0 where there was none.
        reward: `[B, obs + 1]` weights of the observation and 1 for the reward in this episode.
        reward_spread: `[B, obs + 1, obs + 1]` covariance of their errors.
    """

    weights: jax.Array
    spread: jax.Array
    error: jax.Array
    reward: jax.Array
    reward_spread: jax.Array

    @property
    def _obs(self) -> int:
        return self.error.shape[-1] - 1

    @property
    def drift(self) -> jax.Array:
        """`[B, obs, obs]`: the change of an observation x is x @ drift, with no action."""
        return self.weights[:, : self._obs, : self._obs]

    @property
    def push(self) -> jax.Array:
        """`[B, action, obs]`: an action a adds a @ push to it."""
        return self.weights[:, self._obs : -1, : self._obs]

    @property
    def slope(self) -> jax.Array:
        """`[B, obs]`: the direction in which the reward rises."""
        return self.weights[:, : self._obs, -1]

    @property
    def here(self) -> jax.Array:
        """`[B, obs]`: the direction in which the reward rises in this episode."""
        return self.reward[:, :-1]

    @property
    def pays(self) -> jax.Array:
        """`[B, action]`: the action that is rewarded by itself."""
        return self.weights[:, self._obs : -1, -1]


def empty(obs: int, action: int, batch: int) -> Model:
    """Nothing seen yet. All zeros, as an emptied memory is: `update` puts the prior in."""
    n = obs + action + 1
    return Model(
        jnp.zeros((batch, n, obs + 1)),
        jnp.zeros((batch, n, n)),
        jnp.zeros((batch, obs + 1)),
        jnp.zeros((batch, obs + 1)),
        jnp.zeros((batch, obs + 1, obs + 1)),
    )


def update(
    model: Model,
    last: jax.Array,
    action: jax.Array,
    x: jax.Array,
    reward: jax.Array,
    first: jax.Array,
    starts: jax.Array,
) -> Model:
    """One decision more.

    Args:
        model: of what was seen before.
        last: `[B, obs]` the observation on which it was taken.
        action: `[B, action]`.
        x: `[B, obs]` the observation after it.
        reward: `[B]`.
        first: `[B]` whether nothing was seen before.
        starts: `[B]` whether x is an episode's first: it and the reward are no consequence.
    """
    counts, inputs = ~(first | starts), regressors(last, action)
    outcome = jnp.concatenate([x - last, reward[:, None]], axis=1)
    error = outcome - jnp.einsum("bi,bij->bj", inputs, model.weights)
    error = jnp.where(counts[:, None], error, 0.0)
    spread = jnp.where(_wide(first), PRIOR * jnp.eye(inputs.shape[1]), model.spread)
    gain, less = learned(spread, inputs, FORGETTING)
    weights = model.weights + gain[:, :, None] * error[:, None, :]
    spread = jnp.where(_wide(counts), less / FORGETTING, spread)

    seen, prior = jnp.concatenate([x, jnp.ones((len(x), 1))], axis=1), jnp.eye(x.shape[1] + 1)
    here = jnp.where(counts[:, None], model.reward, 0.0)
    here_spread = jnp.where(_wide(counts), model.reward_spread + WANDER * prior, PRIOR * prior)
    gain, less = learned(here_spread, seen, 1.0)
    surprise = reward - jnp.sum(seen * here, axis=1)
    here += gain * jnp.where(counts, surprise, 0.0)[:, None]
    here_spread = jnp.where(_wide(counts), less, here_spread)
    return Model(weights, spread, error, here, here_spread)


def regressors(last: jax.Array, action: jax.Array) -> jax.Array:
    """`[B, obs + action + 1]`: what a decision's outcome is a linear function of."""
    return jnp.concatenate([last, action, jnp.ones((len(last), 1))], axis=1)


def learned(spread: jax.Array, inputs: jax.Array, noise: float) -> tuple[jax.Array, jax.Array]:
    """What an error teaches each weight, `[B, n]`, and the covariance `[B, n, n]` after it."""
    seen = jnp.einsum("bij,bj->bi", spread, inputs)
    gain = seen / (noise + jnp.sum(seen * inputs, axis=1, keepdims=True))
    less = spread - gain[:, :, None] * seen[:, None, :]
    # Rounding must not make it lose its symmetry.
    return gain, 0.5 * (less + jnp.swapaxes(less, 1, 2))


def _wide(flags: jax.Array) -> jax.Array:
    return flags[:, None, None]


def vectors(model: Model, x: jax.Array) -> jax.Array:
    """`[B, VECTORS, obs]`: where `x [B, obs]` drifts to, where the reward rises in the trial and in
    this episode, and what surprised last."""
    moved = jnp.einsum("bi,bij->bj", x, model.drift)
    return 10 * jnp.stack([moved, model.slope, model.here, model.error[:, :-1]], axis=1)


def directions(model: Model, at_once: jax.Array, later: jax.Array) -> jax.Array:
    """Ways to act, `[B, V + 2 L + 1, action]`.

    To move along the vectors `at_once [B, V, obs]` with this decision; along each of
    `later [B, L, obs]` with the one after it, and with the one after that; and what pays by itself.
    """
    steps = [at_once]
    for vector in jnp.unstack(later, axis=1):
        once = _earlier(model, vector)
        steps.append(jnp.stack([once, _earlier(model, once)], axis=1))
    pushed = jnp.einsum("bao,bvo->bva", model.push, jnp.concatenate(steps, axis=1))
    return jnp.concatenate([pushed, model.pays[:, None]], axis=1)


def _earlier(model: Model, vector: jax.Array) -> jax.Array:
    """What to change now so that the drift takes it along `vector` in a decision's time."""
    return jnp.einsum("bij,bj->bi", model.drift, vector)
