"""`metaenvs evaluate`: measure a run by a protocol."""

import dataclasses
from pathlib import Path

import tyro


@dataclasses.dataclass(frozen=True)
class EvaluateCommand:
    """Measure a run's last checkpoint by a protocol.

    Prints tables, writes evaluation.json and adaptation.png into the run folder. Stopped, it
    goes on where it was when it is called again.
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
    from agents import evaluate, evaluation_view
    from agents.console import console
    from agents.run_folder import RunFolder
    from metaenvs.rendering import adaptation

    run = RunFolder.open(command.run)
    result = evaluate.evaluate(run, command.protocol, command.deterministic, command.overwrite)
    evaluation_view.show(result)
    picture = run.path / "adaptation.png"
    adaptation.save(result, picture)
    for file in (run.path / "evaluation.json", picture):
        console.print(f"wrote {file}", soft_wrap=True)
