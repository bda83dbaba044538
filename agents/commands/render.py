"""`metaenvs render`: animate a trial."""

import dataclasses
from pathlib import Path
from typing import Any

from agents.commands import options
from agents.failures import RunError


@dataclasses.dataclass(frozen=True)
class RenderCommand:
    """Draw a trial of one task: a GIF, or for Brax's tasks an HTML page.

    In the GIF above is the task, below what the agent sees of it. The page is Brax's own
    viewer, whose scripts come from the net when it is opened.
    """

    task: str
    """Name of the task; `metaenvs list` shows all."""
    out: Path
    """The file to write, .gif or .html."""
    run: Path | None = None
    """Folder of the run whose agent acts, in the suite it was trained on; by default
    actions are random."""
    pretrained: str | None = None
    """Instead of a run: name of an agent that comes with the package (`metaenvs list`)."""
    suite: str | None = None
    """Suite whose sizes and projections are used; by default those of the task alone."""
    steps: int | None = None
    """Steps to show; by default 300, or the whole trial if that is shorter."""
    seed: int = 0
    """Of the projection, the initial states and the actions."""
    deterministic: bool = False
    """Act by the policy's mean instead of sampling from it."""
    overwrite: bool = False
    """Replace a file that is already there."""


def main(argv: list[str]) -> None:
    command = options.parse(RenderCommand, argv, "metaenvs render")
    if sum(x is not None for x in (command.run, command.pretrained, command.suite)) > 1:
        raise ValueError("give one of --run, --pretrained and --suite: agents have a suite")
    # After the arguments are read: these import jax.
    import metaenvs
    from agents.pretrained import PretrainedAgent
    from agents.runs import evaluate
    from agents.runs.run_folder import RunFolder
    from agents.screen.console import console
    from metaenvs.rendering import animation, brax_page

    if command.out.exists() and not command.overwrite:
        raise RunError(f"{command.out} exists; replace it with --overwrite")
    env: Any = command.task
    policy = params = None
    if command.run is not None or command.pretrained is not None:
        saved: evaluate.Saved
        if command.run is not None:
            saved = RunFolder.open(command.run)
        else:
            saved = PretrainedAgent(command.pretrained or "")
        policy, _, _ = evaluate.load(saved, command.deterministic)
        env, params = evaluate.acts_in(saved.config)
    elif command.suite is not None:
        env, _ = metaenvs.make(command.suite)
    with console.status(f"drawing {command.task}"):
        save = brax_page.save_page if command.out.suffix == ".html" else animation.save_gif
        save(
            env,
            command.out,
            task=command.task,
            policy=policy,
            steps=command.steps,
            seed=command.seed,
            overwrite=command.overwrite,
            params=params,
        )
    console.print(f"wrote {command.out}", soft_wrap=True)
