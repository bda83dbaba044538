"""The folder of a run. Nothing in it is lost by accident.

config.json      settings
metrics.jsonl    one line per update
checkpoints/     named by the updates done; the last ones and the best
set_aside/       checkpoints that a resumed run passed over
evaluation.json  written by `metaenvs evaluate`
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents import config as configs
from agents.checkpoint import Checkpoints
from agents.config import TrainConfig
from agents.errors import RunError


class RunFolder:
    """A run on disk: its `config` and its `checkpoints`. Use `create`, `resume` or `open`."""

    def __init__(self, path: Path, config: TrainConfig, writable: bool):
        self.path = path
        self.config = config
        self.checkpoints = Checkpoints(path / "checkpoints", config.keep_checkpoints, writable)

    @classmethod
    def create(cls, path: Path, config: TrainConfig, overwrite: bool = False) -> "RunFolder":
        """A new folder.

        Raises:
            RunError: if `path` exists and is not to be overwritten, or holds no run.
        """
        if path.exists():
            if not overwrite:
                raise RunError(
                    f"{path} exists. Continue it with --resume, replace it with --overwrite, "
                    "or name another folder with --out"
                )
            if not (path / "config.json").exists():
                raise RunError(f"{path} holds no run (no config.json) and is left as it is")
            shutil.rmtree(path)
        path.mkdir(parents=True)
        (path / "config.json").write_text(configs.to_json(config))
        return cls(path, config, writable=True)

    @classmethod
    def resume(cls, path: Path, config: TrainConfig) -> "RunFolder":
        """The folder of a run that `config` started, or a new one if there is none.

        Raises:
            RunError: if the run in it has other settings; the message names them.
        """
        if not path.exists():
            return cls.create(path, config)
        there = _read_config(path)
        different = configs.differences(there, config)
        if different:
            listing = "; ".join(f"{k}: {a!r} there, {b!r} here" for k, (a, b) in different.items())
            raise RunError(f"{path} was started with other settings ({listing})")
        return cls(path, config, writable=True)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run, to be read.

        Raises:
            RunError: if there is none at `path`, or its settings cannot be read.
        """
        return cls(path, _read_config(path), writable=False)

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def latest_update(self) -> int | None:
        """Updates done at the last complete checkpoint; None without one."""
        return max(self.checkpoints.updates, default=None)

    def trim_metrics(self, updates: int) -> None:
        """Drop the lines of updates after `updates`; a resumed run writes them again."""
        if self.metrics_path.exists():
            kept = [x for x in self.read_metrics() if x["update"] <= updates]
            partial = self.metrics_path.with_suffix(".partial")
            partial.write_text("".join(json.dumps(x) + "\n" for x in kept))
            partial.replace(self.metrics_path)

    def read_metrics(self) -> Sequence[dict[str, Any]]:
        """All whole lines of the metrics."""
        lines = self.metrics_path.read_text().splitlines()
        out = []
        for line in lines:
            try:
                out.append(json.loads(line))
            except json.JSONDecodeError:
                continue  # the last line of a killed run
        return out


def _read_config(path: Path) -> TrainConfig:
    if not (path / "config.json").exists():
        raise RunError(f"{path} is no run folder (no config.json)")
    try:
        return configs.from_json((path / "config.json").read_text())
    except ValueError as error:
        raise RunError(f"{path / 'config.json'}: {error}") from None
