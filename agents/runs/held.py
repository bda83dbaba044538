"""Policies that decide once and hold the action for several steps of an environment."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

import metaenvs
from metaenvs import dispatch


class Held(struct.PyTreeNode):
    """A policy each of whose actions is held for `repeat` steps, or to the episode's end.

    It is the policy that was trained with `action_repeat`, brought back to steps of the
    environment: it sees the last observation of every hold, whose reward is the sum over
    the hold, and its memory gets one element for each decision.

    Attributes:
        policy: a `metaenvs.evaluation.Policy`.
        repeat: steps for which an action is held.
        action_size: numbers of an action.
        reward_at, done_at: places of the previous reward and of the episode flag in an
            observation; None if it has none. Without the flag a hold goes on into the next
            episode where the episode's length is no multiple of `repeat`.
    """

    policy: Any
    repeat: int = struct.field(pytree_node=False)
    action_size: int = struct.field(pytree_node=False)
    reward_at: int | None = struct.field(pytree_node=False, default=None)
    done_at: int | None = struct.field(pytree_node=False, default=None)

    @classmethod
    def on(cls, policy: Any, repeat: int, env: metaenvs.RandomProjection) -> "Held":
        """`policy` in `env`, whose observations it reads."""
        places = {part: place.start for part, place in env.observed_at.items()}
        return cls(policy, repeat, env.action_size, places.get("reward"), places.get("done"))

    def init_carry(self, n: int) -> Any:
        nothing = jnp.zeros(n)
        action = jnp.zeros((n, self.action_size))
        return self.policy.init_carry(n), action, nothing.astype(jnp.int32), nothing

    def act(self, carry, obs, reset, key):
        memory, action, steps, reward = carry
        steps = jnp.where(reset, 0, steps)
        decides = steps % self.repeat == 0
        if self.done_at is not None:
            decides |= obs[:, self.done_at] > 0
        if self.reward_at is not None:
            reward = jnp.where(reset, 0.0, reward) + obs[:, self.reward_at]
            obs = obs.at[:, self.reward_at].set(reward)
            reward = jnp.where(decides, 0.0, reward)

        def decide(_, *inputs):
            return self.policy.act(*inputs)

        # Where nobody decides the policy is not asked. Those who do mostly do so together.
        new_memory, new_action = dispatch.update_where(
            decides.any(),
            decide,
            (memory, action),
            memory,
            obs,
            reset,
            key,
            block=lambda size: size,
        )

        def choose(new, old):
            return jnp.where(decides.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

        memory = jax.tree.map(choose, new_memory, memory)
        action = choose(new_action, action)
        return (memory, action, jnp.where(decides, 1, steps + 1), reward), action
