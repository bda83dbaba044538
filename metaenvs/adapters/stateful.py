"""Reset and step that carry their own key, for interfaces that have none.

Environments of equal code share compiled programs, whatever their defaults.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from metaenvs.identity import code_of


def reset(env: Any, key: jax.Array, params: Any) -> tuple[jax.Array, Any, Any]:
    """(next key, observation, state)"""
    return _reset(code_of(env), key, params)


def step(env: Any, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, ...]:
    """(next key, observation, state, reward, terminated, truncated, info)"""
    return _step(code_of(env), key, state, action, params)


def reset_all(env: Any, keys: jax.Array, params: Any) -> tuple[jax.Array, Any, Any]:
    """`reset` of every environment, keys `[n]`."""
    return _reset_all(code_of(env), keys, params)


def step_all(env: Any, keys: jax.Array, states: Any, actions: Any, params: Any) -> tuple[Any, ...]:
    """`step` of every environment, keys, states and actions `[n, ...]`."""
    return _step_all(code_of(env), keys, states, actions, params)


@jax.jit
def select(mask: jax.Array, where: Any, otherwise: Any) -> Any:
    """Of two pytrees with leaves `[n, ...]` the rows of the first where `mask [n]`."""

    def rows(x, y):
        return jnp.where(mask.reshape(mask.shape + (1,) * (x.ndim - 1)), x, y)

    return jax.tree.map(rows, where, otherwise)


@partial(jax.jit, static_argnums=0)
def _reset(code, key, params):
    key, key_reset = jax.random.split(key)
    return key, *code.env.reset(key_reset, params)


@partial(jax.jit, static_argnums=0)
def _step(code, key, state, action, params):
    key, key_step = jax.random.split(key)
    return key, *code.env.step(key_step, state, action, params)


@partial(jax.jit, static_argnums=0)
def _reset_all(code, keys, params):
    return jax.vmap(partial(_reset, code), (0, None))(keys, params)


@partial(jax.jit, static_argnums=0)
def _step_all(code, keys, states, actions, params):
    return jax.vmap(partial(_step, code), (0, 0, 0, None))(keys, states, actions, params)
