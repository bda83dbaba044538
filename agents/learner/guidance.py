"""What the experts of single tasks would do behind a trial's projections: guidance in training.

An expert sees its task's own observation and acts in the task's own box; both are known in
training (`agents.learner.privileged`). A student that does not know its projection yet cannot do
the same: the squared error teaches it the mean of what experts would do behind all projections
that it holds possible. So guidance fades, and the return has the last word.

Source: imitation on the student's own states is DAgger's (Ross et al. 2011, arXiv 1011.0686).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from agents.learner import privileged
from metaenvs import RandomProjection
from metaenvs.projections.linear_algebra import pseudo_inverse


def behind(action_map: jax.Array, wanted: jax.Array) -> jax.Array:
    """The smallest action `[..., action_size]` that moves a task as `wanted [..., max_act]` does.

    `action_map [..., max_act, action_size]` is the trial's; families of projections see to it
    that the action lies within [-1, 1] where `wanted` does.
    """
    inverse = jnp.vectorize(pseudo_inverse, signature="(m,n)->(n,m)")(action_map)
    return jnp.clip(jnp.einsum("...am,...m->...a", inverse, wanted), -1.0, 1.0)


def of_experts(env: RandomProjection, experts: Mapping[str, Any], shown: jax.Array) -> jax.Array:
    """The actions `[T, B, action_size]` of each trial's expert, clipped to [-1, 1].

    Exact for families whose observation maps have orthogonal columns, as `privileged.of_trial`.

    Args:
        env: the trials'.
        experts: by task, deterministic policies without memory that see nothing but a task's
            observation behind the `identity` projection of `env`'s sizes.
        shown: `[T, B, P]`, of `privileged.of_trial`.
    """
    parts = privileged.parts(env, shown)
    count = parts.has.sum(-1, keepdims=True)
    # The identity behind which experts were trained keeps the mean square as every family does.
    seen = parts.own * parts.has * jnp.sqrt(env.obs_size / jnp.maximum(count, 1.0))
    seen = jnp.pad(seen, [(0, 0), (0, 0), (0, env.obs_size - seen.shape[-1])])
    flat = seen.reshape(-1, seen.shape[-1])
    reset = jnp.zeros(len(flat), bool)
    unused = jax.random.key(0)  # they draw nothing
    wanted = jnp.zeros((*shown.shape[:2], env.tasks.max_act))
    for task, expert in experts.items():
        _, action = expert.act(expert.init_carry(len(flat)), flat, reset, unused)
        action = jnp.clip(action, -1.0, 1.0)[:, : env.tasks.max_act].reshape(wanted.shape)
        wanted += parts.task[..., env.task_names.index(task), None] * action
    return behind(parts.action, wanted)
