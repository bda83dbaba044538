"""The report: complete, self-contained, and careful with what is there."""

import csv
import io
import json
import lzma
import re

import numpy as np
import pytest
from rich.console import Console

import metaenvs
from agents import cli, report
from agents.config import TrainConfig
from agents.failures import RunError
from agents.report import baselines, figures, findings, page, runs, submission, tables
from agents.runs.run_folder import RunFolder
from agents.screen import evaluation_view
from metaenvs import evaluation, statistics
from metaenvs.evaluation import PROTOCOLS, measure
from results import baselines as packing

TASKS = {"train": ("cartpole_swingup", "reacher_easy"), "held_out": ("pendulum_swingup",)}


def made_up(name, level, seed):
    """A valid result of an agent whose returns lie about `level`."""
    rng = np.random.default_rng(seed)
    anchor = {
        "random": {"value": 10.0, "low": 9.0, "high": 11.0},
        "expert": {"value": 910.0, "low": 900.0, "high": 920.0},
    }
    line = measure.Anchor(*(measure.Interval(**x) for x in anchor.values()))
    known = dict.fromkeys(TASKS["train"] + TASKS["held_out"], line)
    protocol = PROTOCOLS["rp-v0-eval1"].as_json()
    cells = []
    for condition in protocol["conditions"]:
        for policy in ("agent", *(c["name"] for c in condition["controls"])):
            for split in condition["splits"]:
                entry = {
                    "cell": f"{split}/{condition['name']}",
                    "split": split,
                    "condition": condition["name"],
                    "projection": "orthogonal",
                    "policy": policy,
                    "episodes": 4,
                    "trial_length": 1000,
                    "tasks": {},
                }
                returns = rng.normal(level, 30, (len(TASKS[split]), 8, 4))
                curve = np.repeat(returns / 250, 10, axis=-1)
                scores = np.stack(
                    [known[t].score(r) for t, r in zip(TASKS[split], returns, strict=True)]
                )
                for i, task in enumerate(TASKS[split]):
                    summary = measure._summary(returns[i : i + 1], curve[i : i + 1], 2)
                    score = measure._score(scores[i : i + 1], 2)
                    entry["tasks"][task] = summary | {
                        "returns": returns[i].tolist(),
                        "score": score,
                    }
                entry["mean_over_tasks"] = measure._summary(returns, curve, 2)
                entry["mean_over_tasks"]["score"] = measure._score(scores, 2)
                cells.append(entry)
    return {
        "schema": evaluation.SCHEMA,
        "protocol": protocol,
        "suite": "RandomProjection-Lite-v0",
        "own_episodes": 2,
        "trained_episodes": 2,
        "observe": [],
        "agent": {"run": name, "memory": "<b>s5</b>", "steps": 1000},
        "anchors": {task: anchor for task in known},
        "versions": {"metaenvs": "0", "jax": "0", "python": "3", "backend": "cpu"},
        "cells": cells,
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    paths = [folder / f"agent{i}.json" for i in range(6)]
    for i, path in enumerate(paths):
        evaluation.save(made_up(path.stem, 200.0 + 100 * i, i), path)
    return paths


@pytest.mark.parametrize("n", [1, 6])
def test_the_page_is_complete_and_asks_nothing_of_the_network(results, n, tmp_path):
    page, *files = report.write(results[:n], tmp_path)
    text = page.read_text()
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link", text)
    assert "default-src 'none'" in text
    assert "&lt;b&gt;s5" in text and "<b>s5" not in text
    for i in range(n):
        assert f"agent{i}" in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for reference in re.findall(r'(?:href="|url\()#([^")]+)', text):
        assert reference in ids
    names = {file.name for file in files}
    assert {"adaptation.pdf", "returns.png", "summary.csv", "summary.tex"} <= names
    assert ("improvement.png" in names) == (n > 1)
    rows = list(csv.DictReader((tmp_path / "report/tables/summary.csv").read_text().splitlines()))
    row = next(r for r in rows if (r["cell"], r["agent"]) == ("train/fresh", "agent0"))
    value = json.loads(results[0].read_text())["cells"][0]["mean_over_tasks"]["return"]["value"]
    assert row["return"].startswith(f"{value:.0f} [")


def test_tables_are_valid_latex_rows():
    table = tables.Table("x", ("a_b", "50 %"), (("c&d", "1 [0, 2]"),))
    assert r"a\_b & 50 \% \\" in table.latex() and r"c\&d & 1 [0, 2] \\" in table.latex()


def test_small_returns_have_decimals():
    assert tables.raw_text(measure.Interval(812.3, 800.6, 820.2)) == "812 [801, 820]"
    assert tables.raw_text(measure.Interval(0.117, 0.112, 0.123)) == "0.12 [0.11, 0.12]"


def test_seeds_are_one_agent(results):
    loaded = runs.load(results[:2])
    assert [agent.label for agent in runs.group(loaded)] == ["agent0", "agent1"]
    pooled = runs.Agent("agent", tuple(loaded))
    assert pooled.label == "agent (2 seeds)"
    assert pooled.returns("train/fresh").shape == (2, 2, 8, 4)
    score = (pooled.returns("train/fresh") - 10.0) / 900.0
    np.testing.assert_allclose(pooled.scores("train/fresh"), score)


def test_what_cannot_be_reported_is_refused(results, tmp_path, capsys):
    other = json.loads(results[0].read_text()) | {"suite": "RandomProjection-v0"}
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"cannot be compared: they differ in suite: "):
        report.write([results[0], path], tmp_path)
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(RunError, match=r"report.html exists; replace it with --overwrite"):
        report.write(results[:1], tmp_path)
    assert (tmp_path / "report.html").read_text() == "mine"
    for argv, message in (
        (["report"], "at least one run folder"),
        (["report", str(results[0]), str(results[1])], "--out FOLDER"),
        (["report", str(tmp_path / "nowhere"), "--out", str(tmp_path / "x")], "no run folder"),
    ):
        assert cli.main(argv) == 2
        assert message in capsys.readouterr().err


def shifted(result, cell, policy, by):
    """The result with other returns of a policy: `by` of each episode."""
    result = json.loads(json.dumps(result))
    for entry in result["cells"]:
        if (entry["cell"], entry["policy"]) == (cell, policy):
            for i, values in enumerate(entry["tasks"].values()):
                base = np.random.default_rng(i).normal(300, 30, (8, 1))
                values["returns"] = (base + np.array(by)).tolist()
    return result


def test_findings_say_what_the_trials_show():
    result, cell = made_up("agent", 300.0, 0), "train/fresh"
    result = shifted(result, cell, "agent", [0, 10, 20, 40])
    result = shifted(result, cell, "carry wiped every step", [0, 0, -30, -60])
    result = shifted(result, cell, "random", [50, 50, 50, 50])
    agent = runs.Agent("a", (runs.Run("a", result, None, ()),))
    line = findings.line(agent, cell)
    assert "memory is not shown to help (with it +0.00 [+0.00, +0.00] in the first episode" in line
    assert "+100 [+100, +100] in the last" in line
    assert "it improves from the first episode to the last (+40 [+40, +40])" in line
    assert "below random actions (-45 [-45, -45]), task by task in 0 of 2" in line
    table = findings.by_task([agent], cell)
    assert table.rows[-1][:4] == ("a", "mean", "+0.00 [+0.00, +0.00]", "+100 [+100, +100]")


def test_controls_that_are_the_agent_in_the_first_episode_are_shown_in_the_last():
    result, cell = made_up("agent", 300.0, 0), "train/fresh"
    result = shifted(result, cell, "agent", [0, 0, 0, 200])
    result = shifted(result, cell, "carry wiped every episode", [0, 0, 0, 100])
    agent = runs.Agent("a", (runs.Run("a", result, None, ()),))
    table = tables.by_task([agent], cell)
    means = {policy: float(row[-1].split()[0]) for policy, _, *row in table.rows}
    assert means["agent, last episode"] == pytest.approx(means["agent"] + 200, abs=1)
    wiped = means["carry wiped every episode, last episode"]
    assert wiped == pytest.approx(means["agent, last episode"] - 100, abs=1)


def test_a_compressed_file_is_read_and_an_agent_called_as_it_says(results, tmp_path):
    result = json.loads(results[0].read_text())
    result["agent"] = {"name": "mine", "trained": "PPO", "steps": 5, "url": "https://x.org"}
    path = tmp_path / "evaluation.json.xz"
    path.write_bytes(lzma.compress(json.dumps(result).encode()))
    (loaded,) = runs.load([path])
    assert loaded.name == "mine" and loaded.about == "PPO, 5 steps, https://x.org"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="is not a whole JSON file"):
        runs.load([path])


@pytest.mark.parametrize("name", baselines.names())
def test_baselines_of_the_package_are_what_the_published_files_say(name):
    listing, run = packing.BASELINES[name]
    paths = baselines.paths(name)
    assert len(paths) == packing.SEEDS
    packed = evaluation.load(paths[0])
    files = sorted((packing.DATA / listing).glob(f"{run}-seed*.evaluation.json.xz"))
    published = evaluation.load(files[0])
    assert packed["agent"] == published["agent"]
    for ours, theirs in zip(packed["cells"], published["cells"], strict=True):
        a, b = (x["mean_over_tasks"]["return"]["value"] for x in (ours, theirs))
        assert a == pytest.approx(b, rel=5e-3)


def test_an_unknown_baseline_is_refused(results, capsys, tmp_path):
    argv = ["report", str(results[0]), "--baseline", "s5x", "--out", str(tmp_path)]
    assert cli.main(argv) == 2
    assert "unknown baseline 's5x'. Did you mean 's5'? Choices: lstm, mlp, s5" in (
        capsys.readouterr().err
    )


@pytest.fixture(scope="module")
def submitted():
    told = {"name": "x", "trained": "y", "steps": 1, "frames": 4, "url": "https://z.org"}
    return evaluation.load(baselines.paths("s5")[0]) | {"agent": told}


def test_a_whole_evaluation_can_be_submitted(submitted, tmp_path, capsys):
    assert submission.faults(submitted) == []
    evaluation.save(submitted, tmp_path / "e.json")
    assert cli.main(["check", str(tmp_path / "e.json")]) == 0
    assert "ready to submit" in capsys.readouterr().out


def test_what_cannot_be_submitted_is_told(submitted):
    def changed(**parts):
        return submission.faults(json.loads(json.dumps(submitted | parts)))

    told = submitted["agent"]
    assert changed(agent=told | {"url": ""}) == ["agent: url is ''; give it with --url"]
    assert "name" in changed(agent={"memory": "s5"})[0]
    quick = PROTOCOLS["rp-v0-eval1"].quick().as_json()
    assert "'rp-v0-eval1-quick' is none of rp-v0-eval1" in changed(protocol=quick)[0]
    fewer = submitted["protocol"] | {"trials_per_task": 4}
    assert "its settings are not those of rp-v0-eval1" in changed(protocol=fewer)[0]
    assert changed(cells=submitted["cells"][1:]) == ["train/fresh: agent: missing"]
    cells = json.loads(json.dumps(submitted["cells"]))
    cells[0]["tasks"]["reacher_easy"]["return"]["value"] += 100
    assert changed(cells=cells) == [
        "train/fresh: agent: the return of reacher_easy is not the mean of its trials"
    ]
    for entry in (cells := json.loads(json.dumps(submitted["cells"]))):
        if entry["policy"] == "random":
            entry["mean_over_tasks"]["return"]["value"] += 100
    assert "these are other tasks or other trials" in changed(cells=cells)[0]


def test_only_tasks_that_can_be_drawn_are_animated():
    lite, _ = metaenvs.make("RandomProjection-Lite-v0")
    assert page._drawable(lite) == "cartpole_swingup"
    cartpole, _ = metaenvs.make("RandomProjection-StatelessCartPole-v0")
    assert page._drawable(cartpole) is None
    assert page._drawable(metaenvs.make("Pendulum-v1")[0]) is None


@pytest.mark.parametrize("level", [900.0, 0.5])
def test_an_evaluation_fits_into_80_columns(level, monkeypatch):
    screen = Console(width=80, file=io.StringIO())
    monkeypatch.setattr(evaluation_view, "console", screen)
    evaluation_view.show(made_up("agent", level, 0))
    text = screen.file.getvalue()
    assert "\u2026" not in text and max(map(len, text.splitlines())) <= 80
    rows = [line.split() for line in text.splitlines() if line.startswith(" cartpole_swingup")]
    # Task; random, wiped; agent and score with intervals. Last episode: agent, wiped, redrawn.
    assert [len(row) for row in rows] == [1 + 2 + 2 + 2, 1 + 2 + 2 + 2]


def test_a_run_without_checkpoint_is_not_evaluated(tmp_path, capsys):
    run = tmp_path / "run"
    RunFolder.create(run, TrainConfig(env="RandomProjection-Lite-v0"))
    before = sorted(run.rglob("*"))
    assert cli.main(["evaluate", str(run)]) == 2
    assert "run/checkpoints: no checkpoint; continue the run with" in capsys.readouterr().err
    assert sorted(run.rglob("*")) == before
    assert cli.main(["evaluate", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_mean_over_some_of_the_tasks_is_not_drawn():
    lines = [
        {"steps": 1, "return": {"a": 1.0, "b": 3.0}},
        {"steps": 2, "return": {"a": 100.0, "b": None}},
    ]
    steps, means = figures._learning_curve(lines, "mean")
    assert (steps.tolist(), means.tolist()) == ([1], [2])
    assert figures._learning_curve(lines, "a")[1].tolist() == [1, 100]


def test_an_interquartile_mean_is_shown_where_it_is_one():
    few, many = np.zeros((1, 3, 8)), np.zeros((2, 3, 8))  # runs, tasks, trials
    assert not tables.shown(statistics.iqm, few) and tables.shown(statistics.iqm, many)
    assert tables.shown(statistics.mean, few)
