"""`metaenvs train`: train the reference agent into a run folder."""

import argparse
import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from agents import config as configs
from agents.config import TrainConfig


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
    logs: tuple[str, ...] = ("tensorboard",)
    """Where metrics go besides metrics.jsonl: names in agents.sinks.SINKS."""


def main(argv: list[str]) -> int:
    preset = argparse.ArgumentParser(prog="metaenvs train", add_help=False, allow_abbrev=False)
    preset.add_argument("--preset", default="demo")
    name = preset.parse_known_args(argv)[0].preset
    default = TrainCommand(configs.preset(name))
    command = tyro.cli(TrainCommand, default=default, args=argv, prog="metaenvs train")
    if command.resume and command.overwrite:
        raise ValueError("give --resume or --overwrite, not both")
    # After the arguments are read: these import jax.
    from agents import loop
    from agents.run_folder import RunFolder

    path = command.out or loop.default_path(command.config)
    loop.check(command.config, command.logs)
    if command.resume:
        run = RunFolder.resume(path, command.config)
    else:
        run = RunFolder.create(path, command.config, command.overwrite)
    return 0 if loop.train(run, command.logs) else 130
