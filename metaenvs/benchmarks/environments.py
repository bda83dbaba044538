"""Programs that step an environment, as a user's own loop would, and what they cost."""

from typing import Any

import jax
import jax.numpy as jnp

BATCHES = tuple(4**i for i in range(8))
"""Numbers of environments side by side, from 1 to 16,384."""


class Rollout:
    """Steps `batch` environments `steps` times under random actions, in one `lax.scan`.

    A call goes on where the last one ended. Its time holds what a user's loop holds: the
    environment's step with its auto-reset and all that it returns, a split of the step's
    key for each environment and a uniform random action for each.
    """

    def __init__(self, env: Any, params: Any, batch: int, steps: int, seed: int = 0):
        self.batch, self.steps = batch, steps
        space = env.action_space(params)
        step_env = jax.vmap(env.step, (0, 0, 0, None))

        def step(loop, key):
            key_action, key_env = jax.random.split(key)
            action = jax.vmap(space.sample)(jax.random.split(key_action, batch))
            keys = jax.random.split(key_env, batch)
            obs, state, *rest = step_env(keys, loop[0], action, params)
            return (state, (obs, *rest)), None

        def first(key):
            key_reset, key_step = jax.random.split(key)
            _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, batch), params)
            shapes = jax.eval_shape(lambda: step((state, None), key_step)[0][1])
            return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

        def run(loop, key):
            key, key_steps = jax.random.split(key)
            return jax.lax.scan(step, loop, jax.random.split(key_steps, steps))[0], key

        key_first, self._key = jax.random.split(jax.random.key(seed))
        self._loop = jax.jit(first)(key_first)
        self._run = jax.jit(run, donate_argnums=0)

    def __call__(self) -> jax.Array:
        self._loop, self._key = self._run(self._loop, self._key)
        return self._loop[1][1]  # the last step's rewards: wait for them, and all is done

    def rate(self, seconds: float) -> float:
        """Environment steps per second, if a call takes so long."""
        return self.batch * self.steps / seconds


def state_bytes(env: Any, params: Any) -> int:
    """Bytes that one environment's state occupies."""
    _, state = jax.eval_shape(env.reset, jax.random.key(0), params)
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
