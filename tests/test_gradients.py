"""Gradients through steps are the slopes that one measures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import metaenvs

STEPS = 12


def slopes(total, actions):
    """Along one direction: by reverse mode, and from two points beside."""
    direction = jax.random.normal(jax.random.key(2), actions.shape)
    value = jax.jit(total)
    beside = value(actions + 1e-3 * direction) - value(actions - 1e-3 * direction)
    return jnp.vdot(jax.jit(jax.grad(total))(actions), direction), beside / 2e-3


@pytest.mark.parametrize(
    "name",
    [
        "acrobot_swingup",
        "cartpole_swingup",
        "pendulum_swingup",
        "point_mass_hard",
        "reacher_easy",
        # With contacts; these compile for long.
        pytest.param("ball_in_cup_catch", marks=pytest.mark.slow),
        pytest.param("finger_spin", marks=pytest.mark.slow),
    ],
)
def test_a_task(name):
    task = metaenvs.tasks.make(name)
    params = task.default_params
    weights = jax.random.normal(jax.random.key(9), task.observation_space().shape)

    def total(actions):
        def step(state, action):
            x, state, reward, *_ = task.step_env(jax.random.key(0), state, action, params)
            return state, x @ weights + reward

        return jax.lax.scan(step, task.reset(jax.random.key(5), params)[1], actions)[1].sum()

    wave = jnp.sin(jnp.arange(STEPS) / 3.0)
    actions = 0.8 * jnp.outer(wave, jnp.array([-1.0, 1.0])[: task.num_actions])
    found, measured = slopes(total, actions)
    assert abs(measured) > 1e-3
    np.testing.assert_allclose(found, measured, rtol=2e-2)


@pytest.mark.parametrize(
    ("step", "batch"),
    [
        ("step", 2),
        pytest.param("step", None, marks=pytest.mark.slow),
        pytest.param("step_env", 2, marks=pytest.mark.slow),
    ],
)
def test_a_trial(step, batch):
    """Two tasks of two programs, over the end of an episode, whose next start is a constant."""
    env = metaenvs.RandomProjection(["cartpole_balance", "pendulum_swingup"])
    params = env.params_for(tasks=["cartpole_balance"])
    params = params.replace(
        task_params=jax.tree.map(
            lambda x: jnp.full_like(x, STEPS // 2) if x.dtype == jnp.int32 else x,
            params.task_params,
        )
    )

    def one(key, actions):
        def walk(state, action):
            obs, state, reward, *_, info = getattr(env, step)(key, state, action, params)
            return state, (obs[: env.obs_size].sum() + reward, info["episode_over"])

        values, over = jax.lax.scan(walk, env.reset(key, params)[1], actions)[1]
        return values.sum(), over

    def total(actions):
        keys = jax.random.split(jax.random.key(1), batch)
        return jax.vmap(one)(keys, actions)[0].sum()

    shape = (STEPS - 2, env.action_size)
    assert one(jax.random.key(1), jnp.zeros(shape))[1].sum() == 1
    actions = 0.3 * jax.random.normal(
        jax.random.key(3), shape if batch is None else (batch, *shape)
    )
    if batch is None:
        found, measured = slopes(lambda actions: one(jax.random.key(1), actions)[0], actions)
    else:
        found, measured = slopes(total, actions)
    assert abs(measured) > 1e-3
    np.testing.assert_allclose(found, measured, rtol=2e-2)
