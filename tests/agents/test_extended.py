"""A run that has ended, given more steps."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.failures import RunError
from agents.learner.trainer import Trainer
from agents.runs import loop
from agents.runs.run_folder import RunFolder, extended

TINY = TrainConfig(
    env="MemoryChain-bsuite",
    env_params={"memory_length": 4},
    rollout_steps=12,
    envs=4,
    steps=2 * 48,
    model=ModelConfig(layers=1, width=8, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=1, schedule="constant"),
)
LONGER = dataclasses.replace(TINY, steps=4 * 48)


def train(path, config):
    run = RunFolder.resume(path, config)
    loop.train(run, logs=())
    return run


def state(run):
    return jax.tree.leaves(run.restore_agent(Trainer(run.config).state_shapes().agent())[1])


def without_clock(run):
    return [{k: v for k, v in x.items() if "second" not in k} for x in run.read_metrics()]


def test_it_goes_on_to_the_same_bits_as_one_that_had_them_from_the_start(tmp_path, capsys):
    train(tmp_path / "a", TINY)
    run = RunFolder.resume(tmp_path / "a", LONGER)
    assert not (run.path / "summary.json").exists()  # what it says is no longer the end
    loop.train(run, logs=())
    assert "extended from 96 to 192 steps" in capsys.readouterr().out
    whole = train(tmp_path / "b", LONGER)
    for x, y in zip(state(run), state(whole), strict=True):
        np.testing.assert_array_equal(x, y)
    assert without_clock(run) == without_clock(whole)
    assert RunFolder.open(run.path).config == LONGER
    assert (run.path / "summary.json").exists()
    assert extended(run.path) == [96] and extended(whole.path) == []


def test_only_a_run_that_has_ended_is_extended(tmp_path):
    RunFolder.create(tmp_path / "a", TINY).release()
    with pytest.raises(RunError, match=r"has not ended yet: go on with --steps 96, .*\(192\)"):
        RunFolder.resume(tmp_path / "a", LONGER)
    assert RunFolder.open(tmp_path / "a").config == TINY


def test_nothing_else_is_changed_and_nothing_taken_away(tmp_path):
    train(tmp_path / "a", TINY)
    for other in (dataclasses.replace(LONGER, seed=1), dataclasses.replace(TINY, steps=48)):
        with pytest.raises(RunError, match=r"was started with other settings"):
            RunFolder.resume(tmp_path / "a", other)


def test_killed_while_it_is_extended(tmp_path, monkeypatch):
    train(tmp_path / "a", TINY)
    # What is there if it is killed before the new settings are written: it goes on as it was.
    (tmp_path / "a" / "extended.json").write_text(json.dumps([96]))
    (tmp_path / "a" / "summary.json").unlink()
    train(tmp_path / "a", TINY)
    run = train(tmp_path / "a", LONGER)
    assert extended(run.path) == [96] and len(run.read_metrics()) == 4
