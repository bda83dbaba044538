"""`metaenvs evaluate`: measure a run by a protocol."""

import dataclasses
from pathlib import Path

import tyro


@dataclasses.dataclass(frozen=True)
class EvaluateCommand:
    """Measure a run's last checkpoint, or an agent of the package, by a protocol.

    Prints tables, writes evaluation.json and adaptation.png into the run folder. Stopped, it
    goes on where it was when it is called again.
    """

    run: tyro.conf.Positional[Path | None] = None
    """Folder of the run."""
    pretrained: str | None = None
    """Name of an agent that comes with the package, instead of a run."""
    out: Path | None = None
    """Folder to write into; by default the run's own."""
    protocol: str = "rp-v0-eval1"
    """Version of the protocol."""
    deterministic: bool = False
    """Act by the policy's mean instead of sampling from it."""
    overwrite: bool = False
    """Replace an evaluation that is already there."""


def main(argv: list[str]) -> None:
    command = tyro.cli(EvaluateCommand, args=argv, prog="metaenvs evaluate")
    if (command.run is None) == (command.pretrained is None):
        raise ValueError("name a run folder or an agent: metaenvs evaluate RUN, or --pretrained")
    if command.pretrained is not None and command.out is None:
        raise ValueError("say where the evaluation of an agent of the package goes: --out FOLDER")
    # After the arguments are read: these import jax.
    from agents.pretrained import PretrainedAgent
    from agents.runs import evaluate
    from agents.runs.run_folder import RunFolder
    from agents.screen import evaluation_view
    from agents.screen.console import console
    from metaenvs.rendering import adaptation

    saved: evaluate.Saved
    if command.run is None:
        saved = PretrainedAgent(command.pretrained or "")
    else:
        saved = RunFolder.open(command.run)
    out = command.out or saved.path
    result = evaluate.evaluate(
        saved, command.protocol, command.deterministic, command.overwrite, out
    )
    evaluation_view.show(result)
    picture = out / "adaptation.png"
    adaptation.save(result, picture)
    for file in (out / "evaluation.json", picture):
        console.print(f"wrote {file}", soft_wrap=True)
