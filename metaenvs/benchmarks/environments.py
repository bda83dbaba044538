"""Programs that step an environment, as a user's own loop would, and what they cost."""

import functools
import time
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from metaenvs.benchmarks.timing import interleaved

BATCHES = tuple(4**i for i in range(8))
"""Numbers of environments side by side, from 1 to 16,384."""


class Rollout:
    """Steps `batch` environments `steps` times under random actions, in one `lax.scan`.

    A call goes on where the last one ended. Its time holds what a user's loop holds: the
    environment's step with its auto-reset and all that it returns, a split of the step's
    key for each environment and a random action for each.
    """

    def __init__(self, env: Any, params: Any, batch: int, steps: int, seed: int = 0):
        self.batch, self.steps, self._params = batch, steps, params
        reset, self._run = _programs(env, batch, steps)
        key, self._key = jax.random.split(jax.random.key(seed))
        self._loop = reset(key, params)

    def __call__(self) -> jax.Array:
        self._loop, self._key = self._run(self._loop, self._key, self._params)
        return self._loop[1][1]  # the last step's rewards: wait for them, and all is done

    @property
    def states(self) -> Any:
        """Where the environments are, `[batch, ...]`."""
        return self._loop[0]

    def rate(self, seconds: float) -> float:
        """Environment steps per second, if a call takes so long."""
        return self.batch * self.steps / seconds


@functools.lru_cache(maxsize=64)
def _programs(env: Any, batch: int, steps: int) -> tuple[Any, Any]:
    """Reset and rollout, compiled once for all params of an environment."""
    step_env = jax.vmap(env.step, (0, 0, 0, None))

    def step(params, loop, key):
        key_action, key_env = jax.random.split(key)
        sample = jax.vmap(env.action_space(params).sample)
        action = sample(jax.random.split(key_action, batch))
        obs, state, *rest = step_env(jax.random.split(key_env, batch), loop[0], action, params)
        return (state, (obs, *rest)), None

    def reset(key, params):
        key_reset, key_step = jax.random.split(key)
        _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, batch), params)
        shapes = jax.eval_shape(lambda: step(params, (state, None), key_step)[0][1])
        return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def run(loop, key, params):
        key, key_steps = jax.random.split(key)
        keys = jax.random.split(key_steps, steps)
        return jax.lax.scan(functools.partial(step, params), loop, keys)[0], key

    return jax.jit(reset), jax.jit(run, donate_argnums=0)


def measure(
    name: str, env: Any, params: Any, batches: Iterable[int], repetitions: int = 3
) -> Iterator[dict[str, Any]]:
    """A row for each batch: steps per second, and what a step of the whole batch takes."""
    for batch in batches:
        start = time.perf_counter()
        rollout = Rollout(env, params, batch, steps_for(batch))
        jax.block_until_ready(rollout())
        until_first = time.perf_counter() - start
        timing = interleaved({name: rollout}, repetitions=repetitions)[name]
        yield {
            "env": name,
            "batch": batch,
            "steps/s": rollout.rate(timing.median),
            "us per step of the batch": timing.median / rollout.steps * 1e6,
            "spread": timing.spread,
            "bytes of state": state_bytes(env, params),
            "compilation and first run, s": until_first,
        }


def steps_for(batch: int) -> int:
    """Steps of a measurement at this batch: a whole episode of 1000 where that is quick."""
    return max(20, min(1000, 2**18 // batch))


def state_bytes(env: Any, params: Any) -> int:
    """Bytes that one environment's state occupies."""
    _, state = jax.eval_shape(env.reset, jax.random.key(0), params)
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
