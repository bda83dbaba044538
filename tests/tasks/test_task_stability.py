"""No task leaves the finite numbers: 20,000 steps of each, at the action box's corners too.

With extreme dynamics parameters: `tests/test_dynamics.py`.
"""

import jax
import jax.numpy as jnp
import pytest

from metaenvs import tasks

COPIES, STEPS = 40, 500

WAYS = {
    "uniform": lambda key, shape: jax.random.uniform(key, shape, minval=-1.0, maxval=1.0),
    "corners": lambda key, shape: jax.random.rademacher(key, shape, jnp.float32),
    # One corner for a whole stretch of time, so that everything is driven to its end.
    "held corners": lambda key, shape: jnp.repeat(
        jax.random.rademacher(key, (shape[0] // 50, *shape[1:]), jnp.float32), 50, axis=0
    ),
}


def walk(task, actions, key):
    """Whether all that a walk of `actions [T, n, A]` shows is finite."""
    params = task.default_params
    key_reset, key_steps = jax.random.split(key)
    _, state = jax.vmap(task.reset, (0, None))(jax.random.split(key_reset, COPIES), params)

    def step(state, inputs):
        key, action = inputs
        keys = jax.random.split(key, COPIES)
        x, state, reward, *_ = jax.vmap(task.step, (0, 0, 0, None))(keys, state, action, params)
        return state, jnp.isfinite(x).all() & jnp.isfinite(reward).all()

    return jax.lax.scan(step, state, (jax.random.split(key_steps, STEPS), actions))[1].all()


@pytest.mark.parametrize(
    "name",
    [
        *tasks.task_names,
        *(pytest.param(name, marks=pytest.mark.slow) for name in tasks.brax_task_names),
    ],
)
def test_random_walks_stay_finite(name):
    task = tasks.make(name)
    run = jax.jit(lambda actions, key: walk(task, actions, key))
    for i, (way, draw) in enumerate(WAYS.items()):
        key_actions, key_walk = jax.random.split(jax.random.key(i))
        actions = draw(key_actions, (STEPS, COPIES, task.num_actions))
        assert bool(run(actions, key_walk)), way
