"""No projection: the task as it is, padded to the agent's sizes."""

import jax.numpy as jnp

from metaenvs.projections.base import ProjectionFamily


class Identity(ProjectionFamily):
    """Padded identity.

    The first n_obs observations are the task's own times sqrt(obs_size / n_obs) (the
    gain of every family, which keeps the mean square per component), the rest are zero;
    the first n_act actions are the task's own, the rest are ignored.
    """

    orthonormal_actions = True

    def observation_map(self, key, n_obs):
        return jnp.eye(self.obs_size, self.max_obs)

    def action_map(self, key, n_act):
        return jnp.eye(self.max_act, self.action_size)
