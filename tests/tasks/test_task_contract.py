"""What holds for every task: names, Gymnax, parameters as data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import environment

from metaenvs import tasks

ONE_PER_PROGRAM = {tasks.make(name).program: name for name in tasks.task_names}.values()


def test_names_are_dm_controls():
    assert tasks.task_names == tuple(sorted(tasks.task_names))
    assert len(tasks.task_names) == 15
    for name in tasks.task_names:
        assert tasks.make(name).name == name
        assert isinstance(tasks.make(name), tasks.Task)
        assert tasks.make(name) is tasks.make(name)


def test_unknown_task_is_named_with_the_nearest_and_all():
    with pytest.raises(ValueError, match="cartpole_swing_up") as error:
        tasks.make("cartpole_swing_up")
    assert "'cartpole_swingup'" in str(error.value)
    for name in tasks.task_names:
        assert name in str(error.value)


@pytest.mark.parametrize("name", tasks.task_names)
def test_sizes_steps_and_spaces_are_dm_controls(name, reference):
    task, their = tasks.make(name), reference(name).environment
    their_size = sum(int(np.prod(s.shape)) for s in their.observation_spec().values())
    assert task.observation_space().shape == (their_size,)
    spec, space = their.action_spec(), task.action_space()
    assert space.shape == spec.shape
    np.testing.assert_array_equal(spec.minimum, np.full(spec.shape, space.low))
    np.testing.assert_array_equal(spec.maximum, np.full(spec.shape, space.high))
    assert task.default_params.max_steps_in_episode == their._step_limit
    assert all(type(leaf) in (bool, int, float) for leaf in jax.tree.leaves(task.default_params))


def test_tasks_of_a_domain_share_one_program():
    assert len(ONE_PER_PROGRAM) == 7
    programs = {name: tasks.make(name).program for name in tasks.task_names}
    assert programs["cartpole_balance"] == programs["cartpole_swingup_sparse"]
    assert programs["reacher_easy"] == programs["reacher_hard"]
    assert programs["finger_spin"] == programs["finger_turn_hard"]
    assert programs["pendulum_swingup"] != programs["acrobot_swingup"]


@pytest.mark.parametrize("name", ONE_PER_PROGRAM)
def test_an_episode_is_a_gymnax_episode(name):
    """Truncated at the limit, never terminated, and started afresh by the auto-reset."""
    task = tasks.make(name)
    assert isinstance(task, environment.Environment)
    params = task.default_params.replace(max_steps_in_episode=20)
    observation, state = task.reset(jax.random.key(0), params)

    def step(carry, key):
        state, _ = carry
        action = task.action_space(params).sample(key)
        observation, state, reward, terminated, truncated, info = task.step(
            key, state, action, params
        )
        seen = (observation, reward, terminated, truncated, state.time, info["final_observation"])
        return (state, observation), (seen, state.qpos)

    keys = jax.random.split(jax.random.key(1), 50)
    _, (seen, qpos) = jax.lax.scan(step, (state, observation), keys)
    observations, rewards, terminated, truncated, time, final = seen
    assert not terminated.any()
    np.testing.assert_array_equal(np.flatnonzero(truncated), [19, 39])
    np.testing.assert_array_equal(time, np.arange(1, 51) % 20)
    assert time.dtype == jnp.int32
    np.testing.assert_allclose(observations[:19], final[:19], rtol=1e-5, atol=1e-6)
    assert not np.allclose(observations[19], final[19])
    assert not np.allclose(qpos[19], qpos[39])  # two fresh starts, not one replayed
    assert observations.dtype == rewards.dtype == jnp.float32
    assert np.all((rewards >= 0.0) & (rewards <= 1.0))


@pytest.mark.parametrize("name", tasks.task_names)
def test_steps_keep_every_type(name):
    """Equal even in JAX's weak types, else tasks could not be branches of one switch."""
    task = tasks.make(name)
    key = jax.random.key(0)
    start = jax.eval_shape(lambda: task.reset_env(key, task.default_params))
    action = jnp.zeros(task.action_size)
    observation, state, reward, terminated, _ = jax.eval_shape(
        lambda s: task.step_env(key, s, action, task.default_params), start[1]
    )
    assert (observation, state) == start
    for leaf in (observation, reward, state.qpos, state.qvel):
        assert (leaf.dtype, leaf.weak_type) == (jnp.float32, False)
    assert (reward.shape, terminated.shape, terminated.dtype) == ((), (), jnp.bool_)


@pytest.mark.parametrize("name", ONE_PER_PROGRAM)
def test_batched_params_equal_one_by_one(name):
    """Every parameter may differ between the members of a batch."""
    task = tasks.make(name)
    n = 4
    leaves, structure = jax.tree.flatten(task.default_params)
    random = np.random.default_rng(0)
    columns = []
    for leaf in leaves:
        if isinstance(leaf, bool):
            columns.append(np.arange(n) % 2 == 0)
        elif isinstance(leaf, int):
            columns.append(np.arange(3, 3 + n, dtype=np.int32))
        else:
            columns.append((leaf * random.uniform(0.8, 1.2, n)).astype(np.float32))
    batched = jax.tree.unflatten(structure, columns)
    key = jax.random.key(0)
    action = jnp.full(task.action_size, 0.7)

    def episode(params):
        observation, state = task.reset(key, params)
        first = observation
        rewards = []
        for _ in range(2):
            observation, state, reward, _, truncated, _ = task.step(key, state, action, params)
            rewards.append(reward)
        return first, observation, state, jnp.stack(rewards), truncated

    together = jax.jit(jax.vmap(episode))(batched)
    for i in range(n):
        alone = jax.jit(episode)(jax.tree.map(lambda x, i=i: x[i], batched))
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(a, b[i], rtol=1e-5, atol=1e-6)
    # and they are not all the same
    assert np.ptp(together[1], axis=0).max() > 1e-4


@pytest.mark.parametrize("name", ONE_PER_PROGRAM)
def test_actions_are_clipped_to_the_box(name):
    task = tasks.make(name)
    step = jax.jit(task.step)
    _, state = jax.jit(task.reset)(jax.random.key(0))
    wild = step(jax.random.key(0), state, jnp.full(task.action_size, 7.0))
    full = step(jax.random.key(0), state, jnp.ones(task.action_size))
    jax.tree.map(np.testing.assert_array_equal, wild, full)


def test_action_of_the_wrong_shape_is_refused():
    task = tasks.make("point_mass_easy")
    _, state = task.reset(jax.random.key(0))
    with pytest.raises(ValueError, match=r"point_mass_easy: action of shape \(2,\)"):
        task.step(jax.random.key(0), state, jnp.zeros(1))
