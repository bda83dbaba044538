"""`metaenvs experiment`: walk through a list of runs."""

import dataclasses
from pathlib import Path

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


def main(argv: list[str]) -> int:
    command = options.parse(ExperimentCommand, argv, "metaenvs experiment")
    # After the arguments are read: these import jax.
    from agents.commands.training import given_for
    from agents.runs import experiment
    from agents.screen.console import console, show_rows

    listed = experiment.read(command.file)
    done = command.status or experiment.walk(
        listed,
        command.out,
        say=lambda text: console.print(text, style="bold red", soft_wrap=True),
        given_for=given_for,
    )
    show_rows(command.file.stem, experiment.status(listed, command.out))
    return 0 if done else 1
