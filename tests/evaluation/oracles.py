"""An environment that shows its secrets, and a policy that uses them."""

import jax.numpy as jnp
from flax import struct

import metaenvs


class Told(metaenvs.RandomProjection):
    """M_o and M_a of the trial, row by row, and the task's index follow the observation."""

    @property
    def observation_size(self):
        family = self.family
        maps = family.obs_size * family.max_obs + family.max_act * family.action_size
        return super().observation_size + maps + 1

    def reset_env(self, key, params):
        obs, state = super().reset_env(key, params)
        return self._told(obs, state), state

    def step_env(self, key, state, action, params):
        obs, state, *rest = super().step_env(key, state, action, params)
        return self._told(obs, state), state, *rest

    def _told(self, obs, state):
        maps, task = state.projection, state.task_id[None].astype(jnp.float32)
        return jnp.concatenate([obs, maps.observation.ravel(), maps.action.ravel(), task])


class Oracle(struct.PyTreeNode):
    """A linear controller per task that acts behind any projection as without one.

    Attributes:
        gains: `[n_tasks, max_act, max_obs]`; u = clip(-gain x), on the task's own
            observation and action.
        believes: it takes what it is told for true; if 0, all projections for the identity.
        sizes: obs_size, max_obs, max_act, action_size of the environment.
    """

    gains: jnp.ndarray
    believes: float
    sizes: tuple[int, int, int, int] = struct.field(pytree_node=False)

    def init_carry(self, n):
        return ()

    def act(self, carry, obs, reset, key):
        n_out, n_obs, n_act, n_in = self.sizes
        cut = n_out * n_obs, n_act * n_in
        end = obs.shape[1] - 1
        seen = obs[:, end - sum(cut) : end - cut[1]].reshape(-1, n_out, n_obs)
        acts = obs[:, end - cut[1] : end].reshape(-1, n_act, n_in)
        inverse = jnp.where(self.believes, jnp.linalg.pinv(seen), jnp.eye(n_obs, n_out))
        x = jnp.einsum("nij,nj->ni", inverse, obs[:, :n_out])
        gain = self.gains[obs[:, end].astype(jnp.int32)]
        u = jnp.clip(-jnp.einsum("nij,nj->ni", gain, x), -1.0, 1.0)
        inverse = jnp.where(self.believes, jnp.linalg.pinv(acts), jnp.eye(n_in, n_act))
        return carry, jnp.einsum("nij,nj->ni", inverse, u)
