"""A list of runs: read with clear errors, walked to its end whatever interrupts it."""

import dataclasses
import json
from pathlib import Path

import pytest
from lists import TINY

from agents import cli, presets
from agents import config as configs
from agents.failures import DivergedError, RunError
from agents.learner.trainer import Trainer
from agents.runs import experiment, loop
from agents.runs.run_folder import RunFolder
from metaenvs import evaluation

LISTS = Path(__file__).parents[2] / "results" / "experiments"

LIST = f"""
protocol = "small"
seeds = 2
{TINY}
[runs.s5]
model.state_size = 4

[runs.mlp]
model.memory = "mlp"
"""


@pytest.fixture
def small(monkeypatch):
    protocol = evaluation.Protocol(
        id="small",
        conditions=(evaluation.Condition("fresh", splits=("held_out",)),),
        trials_per_task=2,
        episodes=1,
    )
    monkeypatch.setitem(evaluation.PROTOCOLS, "small", protocol)


def listed(tmp_path, text=LIST):
    file = tmp_path / "list.toml"
    file.write_text(text)
    return file


def test_settings_are_the_presets_then_the_lists_then_the_runs(small, tmp_path):
    found = experiment.read(listed(tmp_path))
    s5, mlp = found.runs["s5"], found.runs["mlp"]
    assert configs.differences(s5, mlp) == {
        "model.memory": ("s5", "mlp"),
        "model.state_size": (4, None),
    }
    demo = presets.preset("demo")
    assert s5 == dataclasses.replace(
        demo,
        env="RandomProjection-StatelessCartPole-v0",
        steps=256,
        rollout_steps=32,
        checkpoint_every=1,
        envs=4,
        model=dataclasses.replace(
            demo.model, layers=1, width=8, encoder=(8,), head=(8,), state_size=4
        ),
        ppo=dataclasses.replace(demo.ppo, minibatches=2, epochs=1),
    )
    order = [(path.parent.name, config.seed) for path, config in found.members(tmp_path)]
    assert order == [("s5", 0), ("mlp", 0), ("s5", 1), ("mlp", 1)]


def test_a_grid_is_every_run_with_every_combination(tmp_path):
    grid = """
[grid]
ppo.learning_rate = [1e-3, 5e-4]
model.encoder = [[8], [16, 16]]
"""
    found = experiment.read(listed(tmp_path, LIST.replace('protocol = "small"', "") + grid)).runs
    assert len(found) == 8
    config = found["mlp_learning_rate-0.0005_encoder-16-16"]
    assert (config.ppo.learning_rate, config.model.encoder) == (5e-4, (16, 16))
    assert (config.model.memory, config.model.width, config.ppo.epochs) == ("mlp", 8, 1)
    alone = experiment.read(listed(tmp_path, "[grid]\nmodel.memory = ['s5', 'gru']")).runs
    assert {name: run.model.memory for name, run in alone.items()} == {
        "memory-s5": "s5",
        "memory-gru": "gru",
    }


@pytest.mark.parametrize("file", sorted(LISTS.glob("*.toml")), ids=lambda file: file.stem)
def test_the_lists_of_the_docs_can_be_walked(file):
    assert experiment.read(file).runs


ERRORS = [
    ("runs = 3", "it lists no runs"),
    ("[all]\nsteps = 5", "it lists no runs"),
    ("[runs.a]\nsteps = ", "list.toml: Invalid value"),
    ("sedes = 3\n[runs.a]", "unknown field of an experiment 'sedes'. Did you mean 'seeds'"),
    ("seeds = 0\n[runs.a]", "seeds must be a whole number of at least 1, got 0"),
    ("protocol = 'rp-v1'\n[runs.a]", "unknown protocol 'rp-v1'"),
    ("[runs.'a/b']", "run 'a/b': its name is that of a folder"),
    ("[runs.a]\nseed = 4", "run 'a': seeds are not set by run"),
    ("[runs.a]\npreset = 'dmo'", "run 'a': unknown preset 'dmo'. Did you mean 'demo'"),
    ("[runs.a]\nmodel.widht = 8", "unknown field of ModelConfig 'widht'. Did you mean 'width'"),
    ("[runs.a]\nmodel = 8", "run 'a': model is 8, which is not of type"),
    ("[runs.a]\nsteps = 'many'", "run 'a': steps is 'many', which is not of type int"),
    ("[runs.a]\nsteps = true", "run 'a': steps is True, which is not of type int"),
    ("[runs.a]\nmodel.encoder = 8", "encoder is 8, which is not of type tuple[int, ...]"),
    ("[runs]\na = 3", "run 'a': it is 3, which is no table of settings"),
    ("grid = 3", "grid is 3: a grid is made of lists of values"),
    ("[grid]\nppo.epochs = 2", "epochs is 2: a grid is made of lists of values"),
    ("[grid]\nppo.epochs = []", "epochs is []: a grid is made of lists of values"),
    ("[grid]\nppo.epochs = [1, 1]", "run 'epochs-1': the grid makes two of this name"),
    ("[grid]\nppo.epochs = ['a']", "run 'epochs-a': epochs is 'a', which is not of type int"),
    ("[runs.a]\nenvs = 63", "run 'a': envs=63 must be a multiple of ppo.minibatches=4"),
    ("[runs.a]\nenv = 'RandomProjection-v9'", "unknown environment id 'RandomProjection-v9'"),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_a_bad_list_is_one_clear_line(text, message, tmp_path, capsys):
    file = listed(tmp_path, text)
    assert cli.main(["experiment", str(file), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and str(file) in error
    assert not (tmp_path / "out").exists()


def test_a_missing_list_is_named(tmp_path, capsys):
    assert cli.main(["experiment", "no.toml", "--out", str(tmp_path / "out")]) == 2
    assert "there is no file no.toml" in capsys.readouterr().err


class Killed(BaseException):
    """What ends a process, seen from inside."""


def test_a_walk_goes_on_where_it_was(small, tmp_path, monkeypatch, capsys):
    text = LIST.replace("seeds = 2", "seeds = 1")
    file, out = str(listed(tmp_path, text)), tmp_path / "out"
    update, updates_made = Trainer.update, []

    def killed_at_the_fourth(self, state):
        if len(updates_made) == 3:
            raise Killed
        updates_made.append(self.config.model.memory)
        return update(self, state)

    monkeypatch.setattr(Trainer, "update", killed_at_the_fourth)
    with pytest.raises(Killed):  # in the middle of the second run
        cli.main(["experiment", file, "--out", str(out)])
    capsys.readouterr()
    assert cli.main(["experiment", file, "--out", str(out), "--status"]) == 0
    assert [line.split()[1::2][:3] for line in table(capsys)] == [
        ["s5", "0", "evaluated"],
        ["mlp", "0", "begun"],
    ]
    updates_made.clear()
    monkeypatch.setattr(Trainer, "update", lambda *of: updates_made.append(of[0]) or update(*of))
    assert cli.main(["experiment", file, "--out", str(out)]) == 0
    assert [trainer.config.model.memory for trainer in updates_made] == ["mlp"]  # one was left
    for run in ("s5", "mlp"):
        folder = RunFolder.open(out / run / "seed0")
        assert [line["update"] for line in folder.read_metrics()] == [1, 2]
        collected = json.loads((out / "evaluations" / f"{run}-seed0.json").read_text())
        assert collected == json.loads((folder.path / "evaluation.json").read_text())
        assert collected["agent"]["memory"] == run

    updates_made.clear()
    assert cli.main(["experiment", file, "--out", str(out)]) == 0
    assert not updates_made


def table(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if "│" in line]


def test_a_run_that_diverges_does_not_stop_the_others(tmp_path, monkeypatch):
    text = LIST.replace('protocol = "small"', "").replace("seeds = 2", "seeds = 1")
    found, said = experiment.read(listed(tmp_path, text)), []
    train = loop.train

    def diverges(run, **_):
        if run.config.model.memory == "s5":
            raise DivergedError("loss is nan in update 1")
        return train(run, logs=())

    monkeypatch.setattr(loop, "train", diverges)
    assert not experiment.walk(found, tmp_path / "out", said.append)
    assert len(said) == 1 and "loss is nan" in said[0] and "s5" in said[0]
    stages = {row["run"]: row["stage"] for row in experiment.status(found, tmp_path / "out")}
    assert stages == {"s5": "begun", "mlp": "trained"}


def test_folders_of_other_runs_are_refused_before_any_training(small, tmp_path):
    found = experiment.read(listed(tmp_path))
    other = dataclasses.replace(found.runs["mlp"], steps=9_999, seed=1)
    RunFolder.create(tmp_path / "out" / "mlp" / "seed1", other)
    with pytest.raises(RunError, match="steps: 9999 there, 256 here"):
        experiment.walk(found, tmp_path / "out", print)
    assert not (tmp_path / "out" / "s5").exists()


def test_the_status_tells_the_final_return_of_what_is_trained(small, tmp_path):
    found = experiment.read(listed(tmp_path, LIST.replace("seeds = 2", "seeds = 1")))
    (first, config), _ = found.members(tmp_path / "out")
    RunFolder.create(first, config)
    (first / "summary.json").write_text(json.dumps({"final_return": 3.5}))
    rows = experiment.status(found, tmp_path / "out")
    assert [(row["stage"], row["final return"]) for row in rows] == [
        ("trained", 3.5),
        ("not begun", "-"),
    ]
