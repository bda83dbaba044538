"""Acting: the experience of a policy in many environments at once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from agents.learner.ppo import Rollout

EPISODE = ("task_id", "episode_index", "episode_over", "episode_terminated", "episode_return")
"""What is kept of an environment's `info`, besides the experience."""


class Loop(NamedTuple):
    """Where B environments and the memories that act in them stand; leaves `[B, ...]`.

    Attributes:
        env_state, obs: of the environments.
        reset: whether the memory is to be emptied before `obs` is read.
        carry: the memories.
    """

    env_state: Any
    obs: jax.Array
    reset: jax.Array
    carry: Any


def collect(
    act: Callable[..., Any],
    step_env: Callable[..., Any],
    loop: Loop,
    key: jax.Array,
    length: int,
    segment: int,
    privileged: Callable[..., Any] | None = None,
) -> tuple[Loop, Any, Rollout, dict[str, jax.Array]]:
    """Act for `length` steps.

    Args:
        act: `(carry, obs [B, ...], reset [B], privileged [B, P] or None)
            -> carry, policy, value [B]`.
        step_env: a Gymnax environment's step over B environments,
            `(keys [B], env_state, action) -> obs, env_state, reward, terminated,
            truncated, info`, with auto-reset.
        loop: where to begin.
        segment: the memories are noted every so many steps; divides `length`.
        privileged: `(env_state, obs [B, ...], first) -> [B, P]`, what the critic is shown
            besides; `first` says that `obs` is an episode's first.

    Returns:
        Where it ended; the memories at the segments' starts, leaves
        `[length / segment, B, ...]`; the experience; and `EPISODE` of `info`, both with
        leaves `[length, B, ...]`. Rewards are the environment's own.
    """
    envs = loop.reset.shape[0]

    def shown(env_state, obs, first=False):
        return None if privileged is None else privileged(env_state, obs, first)

    def value_of(carry, obs, env_state):
        # The start of one more episode of the trial that has ended.
        return act(carry, obs, jnp.zeros(envs, bool), shown(env_state, obs, first=True))[2]

    def step(loop, key):
        key_action, key_env = jax.random.split(key)
        seen = shown(loop.env_state, loop.obs)
        carry, policy, value = act(loop.carry, loop.obs, loop.reset, seen)
        action = policy.sample(key_action)
        obs, env_state, reward, terminated, truncated, info = step_env(
            jax.random.split(key_env, envs), loop.env_state, action
        )
        # Few steps end a trial: the extra value is computed only where one does.
        final_value = jax.lax.cond(
            any_of_batch(truncated),
            value_of,
            lambda *_: jnp.zeros_like(value),
            carry,
            info["final_observation"],
            loop.env_state,
        )
        transition = Rollout(
            obs=loop.obs,
            reset=loop.reset,
            action=action,
            log_prob=policy.log_prob(action),
            value=value,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            final_value=jnp.where(truncated, final_value, 0.0),
            privileged=seen,
        )
        episode = {name: info[name] for name in EPISODE}
        return Loop(env_state, obs, terminated | truncated, carry), (transition, episode)

    def act_segment(loop, keys):
        after, experience = jax.lax.scan(step, loop, keys)
        return after, (loop.carry, experience)

    keys = jax.random.split(key, length).reshape(length // segment, segment)
    loop, (carries, experience) = jax.lax.scan(act_segment, loop, keys)
    rollout, episodes = jax.tree.map(lambda x: x.reshape(length, *x.shape[2:]), experience)
    return loop, carries, rollout, episodes


@custom_vmap
def any_of_batch(flags: jax.Array) -> jax.Array:
    """Whether any flag is true; under `jax.vmap` too one answer, for the whole batch.

    As the predicate of a `lax.cond` it keeps it one: with a predicate each, as of several
    seeds, both sides would be computed at every step.
    """
    return jnp.any(flags)


@any_of_batch.def_vmap
def _(axis_size, in_batched, flags):
    return any_of_batch(flags), False


def cut(tree: Any, segment: int) -> Any:
    """Sequences `[T, B, ...]` cut into `[segment, B * T / segment, ...]`.

    The segments of one environment are neighbours, in the order of time, so that the
    batch axis stays split by environment.
    """

    def leaf(x):
        length = x.shape[0]
        x = x.reshape(length // segment, segment, *x.shape[1:])
        return jnp.moveaxis(x, 0, 2).reshape(segment, -1, *x.shape[3:])

    return jax.tree.map(leaf, tree)


def join(carries: Any) -> Any:
    """Memories at segments' starts `[S, B, ...]` in the order of `cut`, `[B * S, ...]`."""
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:]), carries)
