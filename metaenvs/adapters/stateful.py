"""Reset and step that carry their own key, for interfaces that have none."""

from functools import partial
from typing import Any

import jax


@partial(jax.jit, static_argnums=0)
def reset(env: Any, key: jax.Array, params: Any) -> tuple[jax.Array, Any, Any]:
    """(next key, observation, state)"""
    key, key_reset = jax.random.split(key)
    return key, *env.reset(key_reset, params)


@partial(jax.jit, static_argnums=0)
def step(env: Any, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, ...]:
    """(next key, observation, state, reward, terminated, truncated, info)"""
    key, key_step = jax.random.split(key)
    return key, *env.step(key_step, state, action, params)


@partial(jax.jit, static_argnums=0)
def reset_all(env: Any, keys: jax.Array, params: Any) -> tuple[jax.Array, Any, Any]:
    """`reset` of every environment, keys `[n]`."""
    return jax.vmap(partial(reset, env), (0, None))(keys, params)


@partial(jax.jit, static_argnums=0)
def step_all(env: Any, keys: jax.Array, states: Any, actions: Any, params: Any) -> tuple[Any, ...]:
    """`step` of every environment, keys, states and actions `[n, ...]`."""
    return jax.vmap(partial(step, env), (0, 0, 0, None))(keys, states, actions, params)
