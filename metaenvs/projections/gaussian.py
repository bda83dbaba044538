"""Projections with independent normal entries."""

import jax
import jax.numpy as jnp

from metaenvs.projections.base import ProjectionFamily


class Gaussian(ProjectionFamily):
    """Independent normal entries.

    Observation map: variance 1 / obs_size, so that squared lengths are kept in the mean.
    For obs_size well above n_obs its condition number concentrates near
    (1 + sqrt(n_obs / obs_size)) / (1 - sqrt(n_obs / obs_size)) (Marchenko-Pastur).
    Action map: unit variance, then scaled to cover the action box. A square one has no
    bounded condition number: P(condition > x) falls off as 1 / x, so that a few trials
    in a hundred are nearly one-dimensional in action. No draw is singular (probability 0).
    """

    def observation_map(self, key, n_obs):
        shape = (self.obs_size, self.max_obs)
        return jax.random.normal(key, shape) / jnp.sqrt(self.obs_size)

    def action_map(self, key, n_act):
        return jax.random.normal(key, (self.max_act, self.action_size))
