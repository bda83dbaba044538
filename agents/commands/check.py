"""`metaenvs check`: whether an evaluation can stand on the leaderboard."""

import dataclasses
from pathlib import Path

import tyro

from agents.commands import options


@dataclasses.dataclass(frozen=True)
class CheckCommand:
    """Check an evaluation before it is submitted to the leaderboard.

    Says what is missing or wrong; exit status 0 if nothing is. docs/leaderboard.md says how to
    submit it.
    """

    file: tyro.conf.Positional[Path]
    """evaluation.json, or .json.xz."""


def main(argv: list[str]) -> int:
    command = options.parse(CheckCommand, argv, "metaenvs check")
    # After the arguments are read: these import jax.
    from agents.report import submission
    from agents.screen.console import console
    from metaenvs import evaluation

    found = submission.faults(evaluation.load(command.file))
    for fault in found:
        console.print(fault, soft_wrap=True, highlight=False, markup=False)
    console.print(f"{command.file}: {'not ready' if found else 'ready to submit'}", soft_wrap=True)
    return 1 if found else 0
