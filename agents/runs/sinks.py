"""Where the metrics of a run go, a line per update. A further place is one class in `SINKS`."""

import dataclasses
import importlib.util
import json
import os
import secrets
import time
from collections.abc import Iterable
from typing import Any, Protocol

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from agents.runs.run_folder import RunFolder
from metaenvs import errors


class Sink(Protocol):
    """Takes the lines of a run's metrics, from the update after `done` on."""

    def __init__(self, run: RunFolder, done: int): ...

    def write(self, line: dict[str, Any]) -> None:
        """Take the line of an update."""

    def close(self) -> None:
        """No line follows."""


class JsonLines:
    """`metrics.jsonl` in the run folder. Always written."""

    def __init__(self, run: RunFolder, done: int):
        run.trim_metrics(done)
        self._path = run.metrics_path

    def write(self, line: dict[str, Any]) -> None:
        # Opened anew for every line: all that a killed process leaves is whole lines.
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        pass


class TensorBoard:
    """An event file in the run folder, over environment steps."""

    def __init__(self, run: RunFolder, done: int):
        # Not SummaryWriter: its thread dies unheard when the disk is full, and the next
        # line then waits for it for ever.
        # Its file is named by the second: a run resumed within one would overwrite the last.
        self._writer = EventsWriter(str(run.path / "events"), f".{time.time_ns()}")
        self._started = False

    def write(self, line: dict[str, Any]) -> None:
        if not self._started:
            # TensorBoard drops what a killed process wrote of this step and later ones.
            start = SessionLog(status=SessionLog.START)
            self._event(step=line["steps"], session_log=start)
            self._started = True
        for name, value in scalars(line).items():
            self._event(step=line["steps"], summary=scalar(name, value))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _event(self, **fields: Any) -> None:
        self._writer.write_event(Event(wall_time=time.time(), **fields))


class WandB:
    """Weights & Biases; a resumed run goes on under its own id.

    Its environment variables hold: WANDB_MODE=offline, WANDB_PROJECT, WANDB_ENTITY, ...
    """

    def __init__(self, run: RunFolder, done: int):
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        path = run.path / "wandb_id.txt"
        if not path.exists():
            path.write_text(secrets.token_hex(4))
        self._run = wandb.init(
            project=None if "WANDB_PROJECT" in os.environ else "metaenvs",
            name=run.path.name,
            id=path.read_text(),
            resume="allow",
            dir=run.path,
            config=dataclasses.asdict(run.config),
        )

    def write(self, line: dict[str, Any]) -> None:
        self._run.log(scalars(line), step=line["update"])

    def close(self) -> None:
        self._run.finish()


SINKS: dict[str, tuple[type[Sink], str]] = {
    "tensorboard": (TensorBoard, "tensorboardX"),
    "wandb": (WandB, "wandb"),
}
"""Those that are chosen by name, and the package that each needs."""


def check(names: Iterable[str]) -> None:
    """Refuse names that are not in `SINKS`, or whose package is missing.

    Raises:
        ValueError: naming the first of them.
    """
    for name in names:
        _, package = errors.lookup(SINKS, name, "log")
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"the log {name!r} needs a package: pip install 'metaenvs[{name}]'")


def scalars(line: dict[str, Any]) -> dict[str, float]:
    """The numbers of a line under flat names: `train/loss`, `return/cartpole_swingup`."""
    train = {f"train/{name}": x for name, x in line.items() if isinstance(x, float)}
    returns = {f"return/{task}": x for task, x in line["return"].items() if x is not None}
    return train | returns
