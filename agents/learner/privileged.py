"""What the agent has to find out, as a vector: for critics and auxiliary losses in training.

A critic that sees more than the policy leaves the policy's gradient unbiased as long as it sees
the policy's memory too (Baisero and Amato 2022, arXiv 2105.11674). Nothing here is needed to act.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metaenvs import RandomProjection
from metaenvs.trial import TrialState


def size(env: RandomProjection) -> int:
    """How many numbers `of_trial` gives."""
    return 2 * env.tasks.max_obs + env.tasks.max_act * env.action_size + len(env.task_names) + 1


def of_trial(
    env: RandomProjection, state: TrialState, obs: jax.Array, time: jax.Array
) -> jax.Array:
    """`[size(env)]` for an observation `obs [observation_size]` of the trial in `state`.

    It holds, one after the other: the task's own observation, which is the projected one
    turned back by the projection's transpose (exact for families with orthogonal columns);
    which of its components the task has; the action's projection; the task as a one-hot
    vector; and `time`, steps since the episode's start, in units of 1,000 control steps.
    """
    projection = state.projection.observation
    norms = jnp.sum(projection**2, axis=0)
    own = (projection.T @ obs[: env.obs_size]) / jnp.maximum(norms, 1e-6)
    parts = Parts(
        own,
        1.0 * (norms > 0),
        state.projection.action.reshape(-1),
        jax.nn.one_hot(state.task_id, len(env.task_names)),
        1e-3 * env.action_repeat * time[None].astype(jnp.float32),
    )
    return jnp.concatenate(parts)


class Parts(NamedTuple):
    """What `of_trial` joins.

    Attributes:
        own: `[..., max_obs]` the task's own observation.
        has: `[..., max_obs]` 1 where the task has such a component.
        action: `[..., max_act, action_size]` the action's projection.
        task: `[..., K]` one-hot.
        time: `[..., 1]`.
    """

    own: jax.Array
    has: jax.Array
    action: jax.Array
    task: jax.Array
    time: jax.Array


def parts(env: RandomProjection, shown: jax.Array) -> Parts:
    """What `shown [..., size(env)]`, of `of_trial`, was joined of."""
    n_obs, action = env.tasks.max_obs, (env.tasks.max_act, env.action_size)
    sizes = (n_obs, n_obs, action[0] * action[1], len(env.task_names))
    ends = list(itertools.accumulate(sizes))
    split = Parts(*jnp.split(shown, ends, axis=-1))
    return split._replace(action=split.action.reshape(*shown.shape[:-1], *action))
