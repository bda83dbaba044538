"""The `metaenvs` command: list, train, evaluate, render."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents import config as configs
from agents.config import TrainConfig

USAGE = """usage: metaenvs COMMAND [options]

  list                      suites, splits, tasks, sizes, projection families
  train --preset NAME       train the reference agent; `metaenvs train --help` for all settings
  evaluate RUN              measure a run by the protocol rp-v0-eval1
  render --task NAME --out FILE.gif
                            animate a trial, of a random or (--run RUN) a trained agent
"""


@dataclasses.dataclass(frozen=True)
class TrainCommand:
    """Train the reference agent."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the run; by default runs/PRESET-seedSEED."""
    resume: bool = False
    """Continue the run in the folder, or start it if there is none."""
    overwrite: bool = False
    """Replace a run that is already in the folder."""


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


@dataclasses.dataclass(frozen=True)
class RenderCommand:
    """Draw a trial of one task as an animated GIF.

    Above is the task, below what the agent sees of it.
    """

    task: str
    """Name of the task; `metaenvs list` shows all."""
    out: Path
    """The GIF to write."""
    run: Path | None = None
    """Folder of the run whose agent acts, in the suite it was trained on; by default
    actions are random."""
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    commands = {"list": _list, "train": _train, "evaluate": _evaluate, "render": _render}
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if argv[0] not in commands:
        message = f"unknown command {argv[0]!r}. Choices: {', '.join(commands)}"
        print(f"metaenvs: {message}", file=sys.stderr)
        return 2
    # Before jax is imported: XLA's C++ start-up chatter is of no use to the user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from agents.loop import DivergedError
    from agents.run_folder import RunError

    try:
        return commands[argv[0]](argv[1:]) or 0
    except (ValueError, TypeError, RunError, DivergedError) as error:
        print(f"metaenvs: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _list(argv: list[str]) -> None:
    from agents.console import console, show_suites
    from metaenvs import projections, tasks

    argparse.ArgumentParser(prog="metaenvs list").parse_args(argv)
    show_suites()
    console.print(f"Projection families: {', '.join(projections.FAMILIES)}", soft_wrap=True)
    console.print(f"Tasks: {', '.join(tasks.task_names)}", soft_wrap=True)
    console.print("Any id of gymnax.registered_envs can be made too.")


def _train(argv: list[str]) -> int:
    preset = argparse.ArgumentParser(prog="metaenvs train", add_help=False, allow_abbrev=False)
    preset.add_argument("--preset", default="demo")
    name = preset.parse_known_args(argv)[0].preset
    default = TrainCommand(configs.preset(name))
    command = tyro.cli(TrainCommand, default=default, args=argv, prog="metaenvs train")
    if command.resume and command.overwrite:
        raise ValueError("give --resume or --overwrite, not both")
    from agents import loop
    from agents.run_folder import RunFolder

    path = command.out or loop.default_path(command.config)
    loop.check(command.config)
    if command.resume:
        run = RunFolder.resume(path, command.config)
    else:
        run = RunFolder.create(path, command.config, command.overwrite)
    return 0 if loop.train(run) else 130


def _evaluate(argv: list[str]) -> None:
    command = tyro.cli(EvaluateCommand, args=argv, prog="metaenvs evaluate")
    from agents import evaluate
    from agents.console import console, show_evaluation
    from agents.run_folder import RunError, RunFolder

    run = RunFolder.open(command.run)
    path = run.path / "evaluation.json"
    if path.exists() and not command.overwrite:
        raise RunError(f"{path} exists; replace it with --overwrite")
    result = evaluate.evaluate(run, command.protocol, command.deterministic)
    show_evaluation(result)
    for file in evaluate.write(result, path):
        console.print(f"wrote {file}", soft_wrap=True)


def _render(argv: list[str]) -> None:
    command = tyro.cli(RenderCommand, args=argv, prog="metaenvs render")
    if command.run is not None and command.suite is not None:
        raise ValueError("give --run or --suite, not both: a run has a suite of its own")
    import metaenvs
    from agents import evaluate
    from agents.console import console
    from agents.run_folder import RunError, RunFolder
    from metaenvs.rendering import animation

    if command.out.exists() and not command.overwrite:
        raise RunError(f"{command.out} exists; replace it with --overwrite")
    env: Any = command.task
    policy = None
    if command.run is not None:
        policy, trainer, _ = evaluate.load(RunFolder.open(command.run), command.deterministic)
        env = trainer.env
    elif command.suite is not None:
        env, _ = metaenvs.make(command.suite)
    with console.status(f"drawing {command.task}"):
        animation.save_gif(
            env,
            command.out,
            task=command.task,
            policy=policy,
            steps=command.steps,
            seed=command.seed,
            overwrite=command.overwrite,
        )
    console.print(f"wrote {command.out}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
