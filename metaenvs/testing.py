"""A checker of the environment contract, for our environments and for users' own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metaenvs.trial import RandomProjection

TRIAL_INFO = (
    "task_id",
    "episode_index",
    "episode_over",
    "episode_terminated",
    "episode_return",
    "episode_length",
    "trial_return",
    "task_reward",
)


class ContractError(AssertionError):
    """An environment breaks the contract; the message says where."""


def check_env(env: Any, params: Any = None, *, seed: int = 0, steps: int = 32) -> None:
    """Check that `env` keeps the contract that trials and agents rely on.

    Shapes and types of observations, rewards, end flags and `info`; the state's
    structure constant under `step`, so that it can be scanned; finite values under
    random actions and at the corners of the action box; one trace for all steps; equal
    results for equal keys; `jax.vmap` equal to a loop.

    Args:
        env: a Gymnax (>= 1.0) environment.
        params: its params (default: `env.default_params`).
        seed: of the random actions.
        steps: how many to take.

    Raises:
        ContractError: at the first breach.
    """
    params = env.default_params if params is None else params
    key_reset, key_walk = jax.random.split(jax.random.key(seed))
    obs, state = env.reset(key_reset, params)
    _check_observation(env, params, obs, "reset")
    _check_step(env, params, state, key_walk)
    _check_walk(env, params, key_walk, steps)
    _check_vmap(env, params, key_walk)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ContractError(message)


def _check_observation(env, params, obs, where: str) -> None:
    space = env.observation_space(params)
    got = (jnp.shape(obs), jnp.asarray(obs).dtype)
    want = (tuple(space.shape), jnp.dtype(space.dtype))
    _require(got == want, f"{where}: observation is {got}, its space says {want}")
    _require(bool(space.contains(obs)), f"{where}: observation {obs} is outside its space")


def _check_step(env, params, state, key) -> None:
    action = env.action_space(params).sample(key)
    out = env.step(key, state, action, params)
    _require(
        len(out) == 6,
        f"step returns {len(out)} values, not (obs, state, reward, terminated, truncated, info)",
    )
    obs, next_state, reward, terminated, truncated, info = out
    _require(jnp.shape(reward) == (), f"reward has shape {jnp.shape(reward)}, not ()")
    # Before the observation, which may hold the reward.
    _require(bool(jnp.isfinite(reward)), f"step: reward is not finite: {reward}")
    _check_observation(env, params, obs, "step")
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        flag = jnp.asarray(flag)
        _require(
            flag.shape == () and flag.dtype == bool, f"{name} is {flag.dtype}{flag.shape}, not bool"
        )
    needed = ["terminated", "truncated", "final_observation"]
    if isinstance(env, RandomProjection):
        needed += TRIAL_INFO
    for name in needed:
        _require(name in info, f"info lacks {name!r}; it has {sorted(info)}")
    _require(
        jnp.shape(info["final_observation"]) == jnp.shape(obs),
        "info['final_observation'] has not the shape of an observation",
    )
    before, after = _structure(state), _structure(next_state)
    _require(before == after, f"the state changes its structure: {before} before, {after} after")
    again = env.step(key, state, action, params)
    _require(_equal(out, again), "two steps with equal arguments differ")


def _structure(tree: Any) -> Any:
    leaves, treedef = jax.tree.flatten(tree)
    return treedef, [(jnp.shape(x), jnp.asarray(x).dtype) for x in leaves]


def _equal(a: Any, b: Any) -> bool:
    return all(
        np.array_equal(_array(x), _array(y), equal_nan=_array(x).dtype.kind == "f")
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def _array(x: Any) -> np.ndarray:
    is_key = isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x)


def _check_walk(env, params, key, steps: int) -> None:
    traces = 0
    space = env.action_space(params)

    @jax.jit
    def step(key, state, action, params):
        nonlocal traces
        traces += 1
        return env.step(key, state, action, params)

    _, state = env.reset(key, params)
    for i in range(steps):
        key_action, key_step = jax.random.split(jax.random.fold_in(key, i))
        action = space.sample(key_action)
        if i % 2 and hasattr(space, "low"):  # every other step: a corner of the box
            corner = jnp.where(jnp.asarray(action) > 0, space.high, space.low)
            action = jnp.where(jnp.isfinite(corner), corner, action)
        obs, state, reward, terminated, truncated, info = step(key_step, state, action, params)
        values = np.concatenate([np.ravel(obs), np.ravel(reward)])
        _require(bool(np.isfinite(values).all()), f"step {i}: not finite: obs {obs}, r {reward}")
        _require(
            not (bool(terminated) and bool(truncated)) or not isinstance(env, RandomProjection),
            f"step {i}: a trial is both terminated and truncated",
        )
        del info
    # Some of Gymnax's own environments lose a weak type in their first step.
    allowed = 1 if isinstance(env, RandomProjection) else 2
    _require(traces <= allowed, f"step was traced {traces} times for {steps} steps of one shape")


def _check_vmap(env, params, key) -> None:
    keys = jax.random.split(key, 3)
    actions = jax.vmap(env.action_space(params).sample)(keys)
    obs, states = jax.vmap(env.reset, (0, None))(keys, params)
    batch = (obs, jax.vmap(env.step, (0, 0, 0, None))(keys, states, actions, params))
    for i in range(3):
        obs, state = env.reset(keys[i], params)
        single = (obs, env.step(keys[i], state, actions[i], params))
        for x, y in zip(jax.tree.leaves(batch), jax.tree.leaves(single), strict=True):
            x, y = _array(x[i]), _array(y)
            close = np.allclose(x, y, rtol=1e-4, atol=1e-5, equal_nan=True)
            _require(bool(close), f"under vmap {x}, alone {y}")
