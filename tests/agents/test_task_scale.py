"""Values that are learned in each task's own units, and are in units of rewards elsewhere."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.learner.moments import TaskScale
from agents.learner.trainer import Trainer

CONFIG = TrainConfig(
    env="MemoryChain-bsuite",
    env_params={"memory_length": 4},
    rollout_steps=12,
    envs=4,
    steps=480,
    model=ModelConfig(layers=1, width=8, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=1, scale_values=True),
)
OFF = dataclasses.replace(CONFIG, ppo=dataclasses.replace(CONFIG.ppo, scale_values=False))


@pytest.fixture(scope="module")
def trainer():
    return Trainer(CONFIG)


def test_the_units_are_each_tasks_own():
    rng = np.random.default_rng(0)
    task_id = rng.integers(0, 2, (50, 40))
    target = np.where(task_id == 0, 5.0, 0.1) + 0.3 * rng.normal(size=(50, 40))
    scale = TaskScale.of_tasks(3).updated(jnp.asarray(target), jnp.asarray(task_id))
    for task in (0, 1):
        own = target[task_id == task]
        np.testing.assert_allclose(scale.mean[task], own.mean(), rtol=1e-4)
        np.testing.assert_allclose(scale.variance[task], own.var(), rtol=1e-3)
    # Nothing was seen of the third task.
    assert (scale.seen[2], scale.mean[2], scale.variance[2]) == (0, 0, 1)
    units = np.asarray(scale.from_rewards(jnp.asarray(target), task_id))
    np.testing.assert_allclose(scale.to_rewards(units, task_id), target, atol=1e-5)
    for task in (0, 1):
        np.testing.assert_allclose(units[task_id == task].std(), 1.0, rtol=1e-3)


def test_they_are_followed_at_once_at_first_and_slowly_later():
    task_id = jnp.zeros((3, 4), jnp.int32)
    target = 2.0 + jnp.arange(12.0).reshape(3, 4)
    scale = TaskScale.of_tasks(1)
    for _ in range(30):
        scale = scale.updated(target, task_id)
    np.testing.assert_allclose(scale.mean, target.mean(), rtol=1e-5)
    later = scale.updated(target + 1.0, task_id)
    np.testing.assert_allclose(later.mean - scale.mean, TaskScale.RATE, rtol=1e-3)
    learned = TaskScale.of_tasks(1, learned=True).updated(target, task_id)
    np.testing.assert_allclose(learned.mean, TaskScale.RATE * target.mean(), rtol=1e-5)


def test_where_nothing_is_paid_noise_does_not_become_all():
    scale = TaskScale.of_tasks(1).updated(jnp.zeros((3, 4)), jnp.zeros((3, 4), jnp.int32))
    np.testing.assert_allclose(scale.variance, TaskScale.LEAST**2, rtol=1e-3)


def test_a_rollouts_values_are_in_units_of_rewards(trainer):
    units = TaskScale(jnp.ones(1), jnp.array([2.0]), jnp.array([9.0]))
    rollout = jax.jit(lambda state: trainer._rollout(state, jax.random.key(0))[2])
    plain = rollout(trainer.init().replace(value_scale=TaskScale.of_tasks(1)))
    scaled_state = trainer.init().replace(value_scale=units)
    scaled = rollout(scaled_state)
    np.testing.assert_array_equal(scaled.action, plain.action)
    np.testing.assert_allclose(scaled.value, 2 + 3 * plain.value, rtol=1e-5)
    over = np.asarray(plain.truncated)
    assert over.any() or np.asarray(plain.terminated).any()
    expected = np.where(over, 2 + 3 * np.asarray(plain.final_value), 0.0)
    np.testing.assert_allclose(scaled.final_value, expected, rtol=1e-5)
    np.testing.assert_allclose(
        trainer._value(scaled_state), 2 + 3 * trainer._value(trainer.init()), rtol=1e-5
    )


def test_an_agent_to_start_from_keeps_its_units_at_first(trainer):
    agent = jax.tree.map(jnp.copy, trainer.init_from(jax.random.key(5)).agent())
    same = trainer.started(trainer.init(), agent, CONFIG)
    assert same.value_scale.seen[0] == 0  # at once in the targets' units, as it was before
    state = trainer.started(trainer.init(), agent, OFF)
    target_seen = float(state.value_scale.seen[0])
    state, metrics = trainer.update(state)
    assert np.isfinite(metrics["loss"]) and state.value_scale.seen[0] == target_seen + 1
    # A twentieth of the way from units of rewards to the targets' own, which spread less.
    assert 0.9 < state.value_scale.variance[0] < 1.0


def test_it_is_off_where_nothing_is_said():
    assert Trainer(OFF).state_shapes().value_scale is None
    assert PPOConfig().scale_values is False
