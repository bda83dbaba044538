"""The agent finds the answers that are known: values, an arm by context, a cue long past."""

import dataclasses

import jax
import numpy as np
import probes  # noqa: F401
import pytest

from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.learner.trainer import Trainer
from agents.sequence_models import MODELS

SMALL = TrainConfig(
    observe=(),
    envs=32,
    rollout_steps=32,
    model=ModelConfig(memory="mlp", layers=1, width=16, encoder=(), head=(32,)),
    ppo=PPOConfig(learning_rate=1e-2, gamma=0.9, reward_scale=1.0),
)


def trained(updates, **fields):
    """A rollout of the agent after so many updates: `ppo.Rollout`, leaves `[T, B, ...]`."""
    config = dataclasses.replace(SMALL, **fields)
    trainer = Trainer(
        dataclasses.replace(config, steps=updates * config.envs * config.rollout_steps)
    )
    state = trainer.init()
    for _ in range(updates):
        state, _ = trainer.update(state)
    return jax.device_get(jax.jit(trainer._rollout)(state, jax.random.key(1))[2])


def test_the_value_of_a_constant_reward_bootstraps_over_time_limits():
    values = trained(60, env="probe-Endless-v0").value
    np.testing.assert_allclose(values, 1 / (1 - 0.9), rtol=0.05)


def test_the_value_of_a_constant_reward_stops_at_termination():
    rollout = trained(60, env="probe-Ending-v0")
    left = 8 * rollout.obs[..., 0]
    np.testing.assert_allclose(rollout.value, (1 - 0.9**left) / (1 - 0.9), atol=0.3)


def test_a_bandit_whose_arm_is_the_context():
    assert trained(30, env="probe-Bandit-v0").reward.mean() > 0.95


def reward_100_steps_after_the_cue(memory, updates):
    rollout = trained(
        updates,
        env="probe-Cue100-v0",
        rollout_steps=100,
        model=ModelConfig(memory=memory, layers=1, width=32, encoder=(), head=(32,)),
        ppo=PPOConfig(learning_rate=3e-3, gamma=0.5, reward_scale=1.0),
    )
    return rollout.reward[-5:].mean()


def test_a_cue_of_100_steps_ago_is_lost_without_memory():
    assert 0.3 < reward_100_steps_after_the_cue("mlp", 20) < 0.7


FAST = ("s5", "gru")


@pytest.mark.parametrize(
    "memory",
    [
        pytest.param(name, marks=() if name in FAST else pytest.mark.slow)
        for name in MODELS
        if name != "mlp"
    ],
)
def test_a_cue_of_100_steps_ago_is_remembered(memory):
    assert reward_100_steps_after_the_cue(memory, 200) > 0.9
