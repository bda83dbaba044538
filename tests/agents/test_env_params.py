"""A run's own params: refused where they cannot be meant, and used by all that look at it."""

import dataclasses

import numpy as np
import pytest

from agents import cli
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.learner import environments
from agents.learner.trainer import Trainer
from agents.runs import evaluate, loop
from agents.runs.run_folder import RunFolder
from metaenvs import evaluation
from metaenvs.rendering import animation

CONFIG = TrainConfig(
    env="RandomProjection-StatelessCartPole-v0",
    projection="gaussian",
    env_params={"projection_scale": 100.0},
    rollout_steps=16,
    steps=64,
    envs=4,
    model=ModelConfig(layers=1, width=8, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=1),
)
WRONG = [
    ("task_weights", 2.0, "is no single number but"),
    ("reward_scale", 2.0, "is no single number but"),
    ("episodes_per_trial", 0.0, "must be at least 1, got 0"),
    ("episodes_per_trial", 1.5, "must be a whole number, got 1.5"),
    ("projection_scale", float("nan"), "must be finite, got nan"),
    ("dynamics", 1.0, "unknown parameter"),
    ("lengths", 1.0, "unknown parameter"),
    ("task_weights.cartpole", 2.0, r"unknown task of .* 'cartpole'.* Choices: "),
    ("projection_scale.stateless_cartpole", 2.0, "does not hold one number for each task"),
    ("scale.stateless_cartpole", 2.0, "unknown parameter of .* 'scale'"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_params_that_cannot_be_meant_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        Trainer(dataclasses.replace(CONFIG, env_params={name: value}))


def test_one_task_is_given_another_weight():
    config = TrainConfig(
        env="RandomProjection-Lite-v0",
        env_params={"task_weights.reacher_easy": 2.5, "task_weights.cartpole_swingup": 0},
    )
    env, params = environments.make(config)
    weights = dict(zip(env.task_names, params.task_weights.tolist(), strict=True))
    assert {k: w for k, w in weights.items() if w} == {"point_mass_easy": 1.0, "reacher_easy": 2.5}


def test_the_command_line_refuses_them_in_one_line_and_makes_no_folder(tmp_path, capsys):
    out = tmp_path / "run"
    argv = ["train", "--out", str(out), "--env-params", "episodes_per_trial", "0"]
    assert cli.main(argv) == 2
    assert "must be at least 1, got 0" in capsys.readouterr().err
    file = tmp_path / "file"
    file.touch()
    for argv in (
        ["train", "--out", str(file / "run")],
        ["render", "--task", "reacher_easy", "--out", str(file / "x.gif"), "--steps", "2"],
    ):
        assert cli.main(argv) == 2
        assert f"{file}" in capsys.readouterr().err
    assert sorted(x.name for x in tmp_path.iterdir()) == ["file"]


def test_whole_numbers_may_be_written_as_powers_of_ten(capsys):
    from agents.commands import training

    assert training.read(["--steps", "1e6"], "demo").config.steps == 1_000_000
    with pytest.raises(SystemExit):
        training.read(["--steps", "1.5"], "demo")
    assert "--steps" in capsys.readouterr().err


def test_a_run_is_looked_at_behind_its_own_projections_and_params(tmp_path, monkeypatch, capsys):
    run = RunFolder.create(tmp_path / "run", CONFIG)
    loop.train(run, logs=())
    unlike = {"projection": "gaussian", "projection_scale": 100.0}
    assert environments.unlike_suite(CONFIG) == unlike

    small = evaluation.Protocol(
        "small",
        (evaluation.Condition("fresh"), evaluation.Condition("unseen", projection="unseen")),
        trials_per_task=2,
        episodes=1,
    )
    monkeypatch.setitem(evaluation.PROTOCOLS, "small", small)
    result = evaluate.evaluate(run, "small")
    families = {e["condition"]: e["projection"] for e in result["cells"]}
    assert families == {"fresh": "gaussian", "unseen": "free"}
    assert result["agent"]["trained_with"] == unlike
    assert "trained with projection gaussian, projection_scale 100" in " ".join(
        capsys.readouterr().out.split()
    )

    _, trainer, _ = evaluate.load(run)
    own, plain = (
        animation.roll_out(trainer.env, "stateless_cartpole", steps=3, params=params)
        for params in (trainer.env_params, None)
    )
    size = trainer.env.obs_size
    np.testing.assert_allclose(
        own.observation[:, :size], 100 * plain.observation[:, :size], rtol=1e-5
    )
