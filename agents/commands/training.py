"""The options of `metaenvs train`, and what they start."""

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents.commands import options
from agents.config import TrainConfig
from agents.presets import PRESETS


@dataclasses.dataclass(frozen=True)
class TrainCommand:
    """Train the reference agent on a suite's training tasks, into a run folder.

    --preset chooses settings to start from; every other option changes one of them.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the run; by default runs/PRESET-seedSEED."""
    resume: bool = False
    """Continue the run in the folder, or start it if there is none."""
    overwrite: bool = False
    """Replace a run that is already in the folder."""
    logs: tuple[str, ...] = ("tensorboard",)
    """Where metrics go besides metrics.jsonl: tensorboard, wandb."""
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


def read(argv: list[str], preset: str) -> TrainCommand:
    """What the command line says, in place of a preset's settings."""
    about = f"{inspect.getdoc(TrainCommand)}\n\nPresets: {', '.join(PRESETS)}."
    default = TrainCommand(PRESETS[preset])
    command = options.parse(TrainCommand, argv, "metaenvs train", default, about)
    if command.resume and command.overwrite:
        raise ValueError("give --resume or --overwrite, not both")
    if command.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {command.seeds}")
    return command


def run(command: TrainCommand) -> int:
    """Train, in this process or the several it is one of."""
    import jax

    from agents.learner import parallel
    from agents.runs import loop
    from agents.runs.run_folder import prepare
    from agents.screen.console import console

    console.quiet = jax.process_index() > 0
    devices = parallel.choose_devices(command.devices)
    loop.check(command.config, command.logs, devices)
    given = given_for(command.config)  # refused, if at all, before a folder is made
    path = command.out or loop.default_path(command.config, command.seeds)
    runs = prepare(path, command.config, command.seeds, command.resume, command.overwrite)
    return 0 if loop.train(*runs, logs=command.logs, devices=devices, given=given) else 130


def given_for(config: TrainConfig) -> Any:
    """The `agents.runs.loop.Given` that `config` asks for.

    Raises:
        ValueError: if there is no run folder or agent of the package that `init_from` names.
        RunError: if it is damaged or holds no run.
    """
    from agents import pretrained
    from agents.learner.trainer import Trainer
    from agents.runs.loop import Given
    from agents.runs.run_folder import RunFolder

    name, start = config.init_from, None
    if name is not None:
        there = Path(name).is_dir()
        start = RunFolder.open(Path(name)) if there else pretrained.PretrainedAgent(name)
    if not config.ppo.guidance_coef:
        return Given(start)
    trainer = Trainer(config)
    return Given(start, pretrained.guides(trainer.trained_tasks, trainer.env))
