"""`metaenvs experiment`: walk through a list of runs."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import tyro

from agents.commands import options


@dataclasses.dataclass(frozen=True)
class ExperimentCommand:
    """Train and evaluate all runs that a file lists, going on where they stand.

    Stopped at any moment, by Ctrl-C, SIGTERM or kill -9, it goes on when it is called again.
    docs/training.md describes the file.
    """

    file: tyro.conf.Positional[Path]
    """The list, in TOML."""
    out: Path
    """Folder of the experiment: a run is in NAME/seedN, evaluations are in evaluations."""
    status: bool = False
    """Only show how far each run is."""
    launcher: Literal["here", "local", "slurm"] = "here"
    """Where: one after the other in this process, in several processes of this machine, or as
    jobs of a SLURM cluster, which go on after this command."""
    parallel: int | None = None
    """How many processes there are, or how many jobs are active at a time. By default 2."""
    job: dict[str, int | str] = dataclasses.field(default_factory=dict)
    """Names and values of submitit's settings of a job: timeout_min 600 slurm_partition gpu."""


def main(argv: list[str]) -> int:
    command = options.parse(ExperimentCommand, argv, "metaenvs experiment")
    # After the arguments are read: these import jax.
    from agents.commands.training import given_for
    from agents.runs import experiment
    from agents.screen.console import console, show_rows

    def say(text: str) -> None:
        console.print(text, style="bold red", soft_wrap=True)

    listed = experiment.read(command.file)
    if command.status:
        done = True
    elif command.launcher == "here":
        if command.job or command.parallel is not None:
            raise ValueError("--parallel and --job need jobs: --launcher local or slurm")
        done = experiment.walk(listed, command.out, say, given_for)
    else:
        done = _launch(command, listed, say)
    show_rows(command.file.stem, experiment.status(listed, command.out))
    return 0 if done else 1


def _launch(command: ExperimentCommand, listed: Any, say: Callable[[str], None]) -> bool:
    """Submit the jobs, and wait for those of this machine. Whether all went well."""
    from agents.commands import launch
    from agents.screen.console import console

    assert command.launcher != "here"
    parallel = 2 if command.parallel is None else command.parallel
    jobs = launch.submit(listed, command.file, command.out, command.launcher, parallel, command.job)
    for job in jobs:
        console.print(f"job {job.job_id}: {job.paths.stdout}", soft_wrap=True)
    if command.launcher == "slurm":
        return True
    faults = [fault for fault in map(launch.wait, jobs) if fault is not None]
    for fault in faults:
        say(fault)
    return not faults
