"""What is particular to where a trial is now: a correction of the model of its dynamics.

One linear model (`agents.learner.identification`) is a compromise of all states that a trial has
shown: a push of the cart turns a hanging pole one way and a standing one the other. What it left
unexplained in the last few decisions is written as a linear model once more, whose weights are
taken to return to zero by themselves: an Ornstein-Uhlenbeck process, followed by a Kalman filter.
Added to the trial's model it is that of the present surroundings.

Source: Ljung, System Identification (2nd edition, 1999), section 11.2, for the filter.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.learner import identification
from agents.learner.identification import Model

LASTING = 0.9
"""Part of a correction that is left after a decision."""
USUAL = 0.3
"""Variance of its entries before anything is known, in units of the error's."""


class Correction(NamedTuple):
    """Of the models of B trials.

    Attributes:
        weights: `[B, obs + action + 1, obs + 1]` to be added to those of the trial's model.
        spread: `[B, obs + action + 1, obs + action + 1]` covariance of their errors.
    """

    weights: jax.Array
    spread: jax.Array

    def of(self, model: Model) -> Model:
        """The model of the present surroundings."""
        return model._replace(weights=model.weights + self.weights)


def empty(obs: int, action: int, batch: int) -> Correction:
    """None yet. All zeros, as an emptied memory is: `update` puts the prior in."""
    n = obs + action + 1
    return Correction(jnp.zeros((batch, n, obs + 1)), jnp.zeros((batch, n, n)))


def update(
    correction: Correction,
    model: Model,
    last: jax.Array,
    action: jax.Array,
    starts: jax.Array,
) -> Correction:
    """One decision more.

    Args:
        correction: by the decisions before.
        model: of the trial, which has seen this decision; its `error` is what it had not expected.
        last: `[B, obs]` the observation on which it was taken.
        action: `[B, action]`.
        starts: `[B]` whether it led to an episode's first observation, or there was none before:
            all of it is forgotten.
    """
    inputs = identification.regressors(last, action)
    prior = USUAL * jnp.eye(inputs.shape[1])
    weights = LASTING * correction.weights
    spread = LASTING**2 * correction.spread + (1 - LASTING**2) * prior
    gain, spread = identification.learned(spread, inputs, 1.0)
    surprise = model.error - jnp.einsum("bi,bij->bj", inputs, weights)
    weights += gain[:, :, None] * surprise[:, None, :]
    here = starts[:, None, None]
    return Correction(jnp.where(here, 0.0, weights), jnp.where(here, prior, spread))
