"""The options of `metaenvs train`, and what they start."""

import argparse
import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import tyro

from agents import config as configs
from agents.config import TrainConfig
from agents.learner import parallel
from agents.runs import loop
from agents.runs.run_folder import prepare
from agents.screen.console import console


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
    """Where metrics go besides metrics.jsonl: names in agents.runs.sinks.SINKS."""
    seeds: int = 1
    """Number of runs, of the seed and those after it, that one program trains. Each has a
    run folder of its own in the folder: seed0, seed1, ..."""
    devices: int | None = None
    """Number of devices that the environments are split over; by default all."""
    coordinator: str | None = None
    """HOST:PORT of process 0, if several processes train together, or auto where the
    cluster says; by default what JAX_COORDINATOR_ADDRESS says."""
    processes: int | None = None
    """Number of processes; by default what JAX_NUM_PROCESSES says."""
    process_id: int | None = None
    """Which of them this is, from 0; by default what JAX_PROCESS_ID says."""


def run(argv: list[str]) -> int:
    """Train as the command line says, in this process or the several it is one of."""
    preset = argparse.ArgumentParser(prog="metaenvs train", add_help=False, allow_abbrev=False)
    preset.add_argument("--preset", default="demo")
    name = preset.parse_known_args(argv)[0].preset
    default = TrainCommand(configs.preset(name))
    command = tyro.cli(TrainCommand, default=default, args=argv, prog="metaenvs train")
    if command.resume and command.overwrite:
        raise ValueError("give --resume or --overwrite, not both")
    if command.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {command.seeds}")
    console.quiet = jax.process_index() > 0
    devices = parallel.choose_devices(command.devices)
    loop.check(command.config, command.logs, devices)
    path = command.out or loop.default_path(command.config, command.seeds)
    runs = prepare(path, command.config, command.seeds, command.resume, command.overwrite)
    return 0 if loop.train(*runs, logs=command.logs, devices=devices) else 130
