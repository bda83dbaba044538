"""`metaenvs evaluate`: measure a run by a protocol."""

import dataclasses
from pathlib import Path

import tyro

from agents.errors import RunError


@dataclasses.dataclass(frozen=True)
class EvaluateCommand:
    """Measure a run's last checkpoint by a protocol.

    Prints the table, writes evaluation.json and adaptation.png into the run folder.
    """

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    protocol: str = "rp-v0-eval1"
    """Version of the protocol."""
    deterministic: bool = False
    """Act by the policy's mean instead of sampling from it."""
    overwrite: bool = False
    """Replace an evaluation that is already there."""


def main(argv: list[str]) -> None:
    command = tyro.cli(EvaluateCommand, args=argv, prog="metaenvs evaluate")
    # After the arguments are read: these import jax.
    from agents import evaluate
    from agents.console import console, show_evaluation
    from agents.run_folder import RunFolder

    run = RunFolder.open(command.run)
    path = run.path / "evaluation.json"
    if path.exists() and not command.overwrite:
        raise RunError(f"{path} exists; replace it with --overwrite")
    result = evaluate.evaluate(run, command.protocol, command.deterministic)
    show_evaluation(result)
    for file in evaluate.write(result, path):
        console.print(f"wrote {file}", soft_wrap=True)
