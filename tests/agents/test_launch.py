"""Runs of an experiment as jobs: what they make, and what a cluster is asked for."""

import os
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from lists import TINY
from submitit.core.utils import FailedJobError, JobPaths

from agents import cli
from agents.commands import launch
from agents.learner.trainer import Trainer
from agents.runs import experiment
from agents.runs.run_folder import RunFolder

LIST = f"""
seeds = 2
{TINY}
[grid]
model.memory = ["s5", "mlp"]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "list.toml"
    path.write_text(LIST)
    return path


def leaves(path):
    """What a run has learned."""
    run = RunFolder.open(path)
    _, state = run.checkpoints.restore(Trainer(run.config).state_shapes())
    return jax.tree.leaves(state.params)


def assert_same(file, a, b):
    """Two folders of the experiment in `file`, bit for bit."""
    for member, _ in experiment.read(file).members(Path()):
        for x, y in zip(leaves(a / member), leaves(b / member), strict=True):
            np.testing.assert_array_equal(x, y)


def test_jobs_make_what_a_walk_makes(file, tmp_path):
    file.write_text(LIST.replace("seeds = 2", "seeds = 1"))
    walked, launched = tmp_path / "walked", tmp_path / "launched"
    listed = experiment.read(file)
    first, second = experiment.unfinished(listed, launched)
    job = launch.Job(file, launched, (second,))
    assert job()
    assert experiment.unfinished(listed, launched) == [first]
    assert job.checkpoint().function is job  # in the queue again it goes on where it was
    assert launch.Job(file, launched, (first, second))()
    assert launch.submit(listed, file, launched, "local", 2, {}) == []  # nothing is left
    assert experiment.walk(listed, walked, print)
    assert_same(file, walked, launched)


class Ended:
    """A job of submitit's that has ended."""

    job_id = "17"
    paths = JobPaths("jobs", "17")

    def __init__(self, result):
        self._result = result

    def result(self):
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


def test_a_job_that_leaves_something_undone_says_where_to_look():
    assert launch.wait(Ended(True)) is None
    assert launch.wait(Ended(False)) == f"job 17 has left runs undone: {Ended.paths.stdout}"
    failed = launch.wait(Ended(FailedJobError("no memory is left")))
    assert failed == f"job 17 failed: {Ended.paths.stderr} says why"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A cluster that notes what it is asked for, and does nothing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("srun", "sbatch"):
        program = programs / name
        program.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/asked; echo Submitted batch job 17\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "asked"


def test_a_cluster_is_asked_for_an_array_with_a_job_for_each_run(file, tmp_path, slurm, capsys):
    out = tmp_path / "out"
    words = ["experiment", str(file), "--out", str(out), "--launcher", "slurm", "--parallel", "3"]
    words += ["--job", "slurm_partition", "gpu", "timeout_min", "90", "gpus_per_node", "1"]
    assert cli.main(words) == 0
    asked = slurm.read_text()
    for line in ("array=0-3%3", "partition=gpu", "time=90", "gpus-per-node=1", "job-name=list"):
        assert f"#SBATCH --{line}\n" in asked
    assert "job 17_3:" in capsys.readouterr().out


BAD = [
    (["--job", "slurm_partition", "gpu"], "--parallel and --job need jobs"),
    (["--launcher", "slurm", "--parallel", "0"], "parallel must be at least 1, got 0"),
    (
        ["--launcher", "local", "--job", "hours", "3"],
        "refuses a setting of --job: Parameter 'hours'",
    ),
    (["--launcher", "local", "--job", "timeout_min", "long"], "refuses a setting of --job"),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_what_cannot_be_launched_is_one_clear_line(words, message, file, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["experiment", str(file), "--out", str(out), *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_without_a_cluster_it_is_said(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    words = ["experiment", str(file), "--out", str(tmp_path / "out"), "--launcher", "slurm"]
    assert cli.main(words) == 2
    assert "no jobs on slurm" in capsys.readouterr().err


@pytest.mark.slow
def test_a_job_that_is_preempted_goes_on(file, tmp_path):
    more = LIST.replace("steps = 256", "steps = 6_400")  # fifty updates
    file.write_text(more.replace("checkpoint_every = 1", "checkpoint_every = 5"))
    walked, launched = tmp_path / "walked", tmp_path / "launched"
    listed = experiment.read(file)
    jobs = launch.submit(listed, file, launched, "local", 2, {})
    run = launched / "memory-s5" / "seed0"
    while not (run / "checkpoints" / "20").exists():
        time.sleep(0.1)
    process = int((run / "lock").read_text().split()[1])
    os.kill(process, signal.SIGUSR2)  # as a cluster does that preempts it
    assert [launch.wait(job) for job in jobs] == [None, None]
    assert "Requeued job" in jobs[0].stderr()
    assert experiment.walk(listed, walked, print)
    assert_same(file, walked, launched)
