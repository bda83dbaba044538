"""The pair of linear maps of one trial, and what every family of them guarantees."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import struct

from metaenvs.projections.linear_algebra import pseudo_inverse


class Projection(struct.PyTreeNode):
    """The linear maps of one trial, zero-padded so that all tasks share one shape.

    `observation [obs_size, max_obs]` takes a task's observation to the agent's;
    `action [max_act, action_size]` takes the agent's action to the task's.
    Columns of `observation` beyond the task's n_obs and rows of `action` beyond its
    n_act are zero.
    """

    observation: jax.Array
    action: jax.Array


@dataclasses.dataclass(frozen=True)
class ProjectionFamily:
    """A distribution over projections.

    A family is a subclass with `observation_map` and `action_map`. This class makes
    the three properties hold that the benchmark rests on:

    * the mean square per component of the projected observation is the task's own;
    * every action of the task can be reached, M_a [-1, 1]^action_size covers [-1, 1]^n_act;
    * entries that a smaller task does not use are zero.

    Sizes: `obs_size` and `action_size` are what the agent sees, `max_obs` and `max_act`
    the largest task's (default: as large as the agent's). `orthonormal_actions` says that
    the rows of every action map are orthonormal: its pseudo-inverse is its transpose.
    """

    orthonormal_actions: ClassVar[bool] = False

    obs_size: int
    action_size: int
    max_obs: int = 0
    max_act: int = 0

    def __post_init__(self):
        object.__setattr__(self, "max_obs", self.max_obs or self.obs_size)
        object.__setattr__(self, "max_act", self.max_act or self.action_size)
        for agent, task, what in (
            (self.obs_size, self.max_obs, "observation"),
            (self.action_size, self.max_act, "action"),
        ):
            if not 1 <= task <= agent:
                raise ValueError(
                    f"a projection needs 1 <= task's {what} size <= agent's {what} size, "
                    f"got {task} and {agent}"
                )

    def observation_map(self, key: jax.Array, n_obs: jax.Array | int) -> jax.Array:
        """`[obs_size, max_obs]` whose first n_obs columns have a mean square norm of 1.

        Of the other columns nothing is asked; they are zeroed afterwards.
        """
        raise NotImplementedError

    def action_map(self, key: jax.Array, n_act: jax.Array | int) -> jax.Array:
        """`[max_act, action_size]` whose first n_act rows are linearly independent."""
        raise NotImplementedError

    def sample(self, key: jax.Array, n_obs: jax.Array | int, n_act: jax.Array | int) -> Projection:
        """Draw a projection for a task with `n_obs` observations and `n_act` actions.

        Both counts may be traced, so that one program serves tasks of all sizes.
        """
        key_observation, key_action = jax.random.split(key)
        uses_obs = jnp.arange(self.max_obs) < n_obs
        observation = self.observation_map(key_observation, n_obs) * uses_obs
        # |M x|^2 = |x|^2 is spread over obs_size instead of n_obs components.
        gain = jnp.sqrt(self.obs_size / jnp.asarray(n_obs, jnp.float32))
        uses_act = jnp.arange(self.max_act) < n_act
        action = self.action_map(key_action, n_act) * uses_act[:, None]
        inverse = action.T if self.orthonormal_actions else pseudo_inverse(action)
        return Projection(observation * gain, action * covering_gain(inverse))


def covering_gain(inverse: jax.Array) -> jax.Array:
    """The factor by which an action map covers the box [-1, 1]^n_act.

    With P `[A, max_act]` its pseudo-inverse, a = P u is the smallest action that yields
    u, and max |a| <= max_j sum_i |P_ji| for u in the box. Scaling the map by that bound
    puts every such a into [-1, 1]^A. The bound is attained when the map is square.
    """
    return jnp.max(jnp.sum(jnp.abs(inverse), axis=1))
