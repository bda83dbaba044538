"""A run that starts from the parameters of an agent: of a run, or of the package."""

import dataclasses

import jax
import numpy as np
import pytest

from agents.commands.training import given_for
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.failures import RunError
from agents.learner.trainer import Trainer
from agents.runs import loop
from agents.runs.run_folder import RunFolder

TINY = TrainConfig(
    env="MemoryChain-bsuite",
    env_params={"memory_length": 4},
    rollout_steps=12,
    envs=4,
    steps=48,
    model=ModelConfig(layers=1, width=8, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=1, learning_rate=0.0),
)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "first"
    loop.train(RunFolder.create(path, dataclasses.replace(TINY, seed=1)), logs=())
    return path


def params(path):
    run = RunFolder.open(path)
    return run.restore_agent(Trainer(run.config).state_shapes().agent())[1]["params"]


def test_it_starts_with_that_agents_parameters(first, tmp_path):
    # The rate is 0: what it ends with is what it started with.
    config = dataclasses.replace(TINY, seed=2, init_from=str(first))
    loop.train(RunFolder.create(tmp_path / "a", config), logs=(), given=given_for(config))
    other = dataclasses.replace(TINY, seed=2)
    loop.train(RunFolder.create(tmp_path / "b", other), logs=())
    same, different = params(tmp_path / "a"), params(tmp_path / "b")
    for x, y in zip(*map(jax.tree.leaves, (same, params(first))), strict=True):
        np.testing.assert_array_equal(x, y)
    pairs = zip(*map(jax.tree.leaves, (same, different)), strict=True)
    assert any(not np.array_equal(x, y) for x, y in pairs)


def test_what_it_cannot_start_from_is_refused(first, tmp_path):
    with pytest.raises(ValueError, match="unknown agent 'nowhere'"):
        given_for(dataclasses.replace(TINY, init_from="nowhere"))
    wider = dataclasses.replace(
        TINY, init_from=str(first), model=dataclasses.replace(TINY.model, width=16)
    )
    with pytest.raises(RunError, match="first"):
        loop.train(RunFolder.create(tmp_path / "w", wider), logs=(), given=given_for(wider))
    with pytest.raises(ValueError, match=r"init_from='.*first': give the agent as start"):
        config = dataclasses.replace(TINY, init_from=str(first))
        loop.train(RunFolder.create(tmp_path / "n", config), logs=())
