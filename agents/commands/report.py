"""`metaenvs report`: one page on one or several evaluated runs."""

import dataclasses
from pathlib import Path

import tyro

from agents.commands import options


@dataclasses.dataclass(frozen=True)
class ReportCommand:
    """Compare evaluated runs on one self-contained page.

    Writes report.html, and the folder report with its figures (PNG, PDF) and tables (CSV,
    LaTeX). Runs whose settings differ in the seed only are one agent.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, or evaluation files (.json, .json.xz) of agents trained elsewhere."""
    baseline: tuple[str, ...] = ()
    """Reference agents that come with the package, to put beside them: s5, lstm, mlp."""
    out: Path | None = None
    """Folder to write into; by default the run's own, if there is one run only."""
    animate: bool = True
    """Show a first and a last episode of agents that have a checkpoint."""
    overwrite: bool = False
    """Replace a report that is already there."""


def main(argv: list[str]) -> None:
    command = options.parse(ReportCommand, argv, "metaenvs report")
    if not command.runs:
        raise ValueError("give at least one run folder or evaluation file")
    out = command.out
    if out is None:
        if len(command.runs) > 1:
            raise ValueError("say where a report on several runs goes: --out FOLDER")
        out = command.runs[0] if command.runs[0].is_dir() else command.runs[0].parent
    # After the arguments are read: these import jax.
    from agents import report
    from agents.screen.console import console

    with console.status("reading") as status:
        page, *files = report.write(
            command.runs,
            out,
            overwrite=command.overwrite,
            animate=command.animate,
            baseline=command.baseline,
            say=lambda text: status.update(f"drawing: {text}"),
        )
    console.print(f"wrote {page} and {len(files)} figures and tables in {out / 'report'}")
