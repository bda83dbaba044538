"""Agents that come with the package: made of a run, they act as it did, or say why not."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import agents
from agents import cli, pretrained
from agents.commands import evaluate as evaluate_command
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.failures import RunError
from agents.pretrained import PretrainedAgent
from agents.pretrained.export import export
from agents.runs import evaluate, loop, run_folder
from agents.runs.run_folder import RunFolder
from agents.trees import by_name
from metaenvs import evaluation

CONFIG = TrainConfig(
    env="RandomProjection-StatelessCartPole-v0",
    steps=128,
    envs=4,
    rollout_steps=32,
    model=ModelConfig(layers=1, width=8, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=1),
)
PROTOCOL = evaluation.Protocol(
    id="small",
    conditions=(evaluation.Condition("fresh", splits=("held_out",)),),
    trials_per_task=2,
    episodes=1,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of one update, evaluated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(evaluation.PROTOCOLS, "small", PROTOCOL)
        run = RunFolder.create(tmp_path_factory.mktemp("runs") / "tiny", CONFIG)
        loop.train(run, logs=())
        evaluate.evaluate(run, "small")
        return run


@pytest.fixture
def published(run, tmp_path, monkeypatch):
    """The folder of an agent made of it."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    monkeypatch.setitem(evaluation.PROTOCOLS, "small", PROTOCOL)
    return export(run, "tiny-v0", tmp_path)


def test_its_evaluation_is_the_runs(run, published, tmp_path):
    assert pretrained.names() == ("tiny-v0",)
    theirs = evaluation.load(run.path / "evaluation.json")
    out = tmp_path / "evaluated"
    ours = evaluate.evaluate(PretrainedAgent("tiny-v0"), "small", out=out)
    assert ours["cells"] == theirs["cells"]  # to the last digit
    assert ours["agent"] == {**theirs["agent"], "run": "tiny-v0"}
    assert evaluation.load(out / "evaluation.json") == ours


class Asked(Exception):
    """What an evaluation was asked to say of its agent."""


@pytest.mark.parametrize(("words", "name"), [([], "tiny-v0"), (["--name", "mine"], "mine")])
def test_an_evaluation_calls_it_by_its_name(words, name, published, tmp_path, monkeypatch):
    def ask(*arguments):
        raise Asked(arguments[-1])

    monkeypatch.setattr(evaluate, "evaluate", ask)
    with pytest.raises(Asked) as asked:
        evaluate_command.main(["--pretrained", "tiny-v0", "--out", str(tmp_path), *words])
    assert asked.value.args == ({"name": name},)


def test_it_acts_by_the_runs_parameters(run, published):
    packaged = agents.load("tiny-v0", deterministic=True)
    by_run, _, update = evaluate.load(run, deterministic=True)
    assert PretrainedAgent("tiny-v0").config == CONFIG
    leaves = by_name(packaged.params), by_name(by_run.params)
    assert leaves[0].keys() == leaves[1].keys()
    for name in leaves[0]:
        np.testing.assert_array_equal(leaves[0][name], leaves[1][name])
    with np.load(published / "params.npz") as saved:
        assert int(saved["update"]) == update == 1


def test_its_card_says_what_it_is(published):
    card = (published / "card.md").read_text()
    for text in ("S5 agent of 1 layers x 8", "128 steps, seed 0", "`small`", "stateless_cartpole"):
        assert text in card


def test_it_says_that_its_run_was_extended(run, tmp_path, monkeypatch):
    longer = tmp_path / "longer"
    shutil.copytree(run.path, longer)
    (longer / "extended.json").write_text("[64]\n")
    result = json.loads((longer / "evaluation.json").read_text())
    result["agent"]["extended_from"] = [64]
    (longer / "evaluation.json").write_text(json.dumps(result))
    published = export(RunFolder.open(longer), "longer-v0", tmp_path)
    assert "extended after 64 steps" in (published / "card.md").read_text()
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    assert run_folder.extended(PretrainedAgent("longer-v0").path) == [64]


def test_damaged_files_are_refused(published):
    params = published / "params.npz"
    content = bytearray(params.read_bytes())
    content[len(content) // 2] ^= 1
    params.write_bytes(content)
    with pytest.raises(RunError, match=r"tiny-v0 is damaged: params.npz has changed"):
        PretrainedAgent("tiny-v0")


def test_a_published_agent_does_not_change(run, published, tmp_path):
    with pytest.raises(RunError, match="a published agent does not change"):
        export(run, "tiny-v0", tmp_path)


def test_only_evaluated_runs_are_published(run, tmp_path):
    begun = RunFolder.create(tmp_path / "begun", dataclasses.replace(CONFIG, seed=1))
    with pytest.raises(RunError, match=r"begun has no summary.json: train to the end"):
        export(begun, "begun-v0", tmp_path)
    assert not (tmp_path / "begun-v0").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "name one agent"),
        (["somewhere", "--pretrained", "tiny-v0"], "name one agent"),
        (["--pretrained", "tiny-v0"], "say where the evaluation of an agent without a run goes"),
        (
            ["--pretrained", "tny-v0", "--out", "x"],
            "unknown agent 'tny-v0'. Did you mean 'tiny-v0'",
        ),
    ],
)
def test_bad_command_lines_are_one_clear_line(argv, message, published, capsys):
    assert cli.main(["evaluate", *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", pretrained.names())
def test_every_published_agent_can_be_loaded(name):
    assert agents.load(name).init_carry(2) is not None
