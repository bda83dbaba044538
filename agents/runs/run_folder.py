"""The folder of a run. Nothing in it is lost by accident.

config.json      settings
metrics.jsonl    one line per update
checkpoints/     named by the updates done; the last ones and the best
set_aside/       checkpoints that a resumed run passed over
summary.json     final return and MMER, once training has ended
extended.json    budgets that the run had ended with before it was given more steps
evaluation.json  written by `metaenvs evaluate`
lock             the process that trains, while it does
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agents import config as configs
from agents.config import TrainConfig
from agents.failures import RunError
from agents.learner import parallel
from agents.runs.checkpoint import Checkpoints
from agents.runs.lock import Lock
from agents.screen.console import console
from metaenvs import files

EXTENDED = "extended.json"


class RunFolder:
    """A run on disk: its `config` and its `checkpoints`. Use `create`, `resume` or `open`.

    One that is made by `create` or `resume` is this process's alone until `release`.
    """

    def __init__(self, path: Path, config: TrainConfig, writable: bool):
        self.path = path
        self.config = config
        self._lock = _lock(path)
        if writable:
            self.lock()  # before anything in it is tidied up
        self.checkpoints = Checkpoints(path / "checkpoints", config.keep_checkpoints, writable)

    @classmethod
    def create(cls, path: Path, config: TrainConfig, overwrite: bool = False) -> "RunFolder":
        """A new folder.

        Raises:
            RunError: if `path` exists and is not to be overwritten, or holds no run, or if
                another process trains into it.
        """
        parallel.on_first_process(lambda: _create(path, config, overwrite))
        return cls(path, config, writable=True)

    @classmethod
    def resume(cls, path: Path, config: TrainConfig) -> "RunFolder":
        """The folder of a run that `config` started, or a new one if there is none.

        A run that has ended is extended if `config` differs by more steps alone.

        Raises:
            RunError: if the run in it has other settings (the message names them), or if
                another process trains into it.
        """
        parallel.on_first_process(lambda: _resume(path, config))
        return cls(path, config, writable=True)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run, to be read.

        Raises:
            RunError: if there is none at `path`, or its settings cannot be read.
        """
        return cls(path, _read_config(path), writable=False)

    def lock(self) -> None:
        """Keep the folder from other processes, until `release` or this process's death.

        Raises:
            RunError: if another process has it.
        """
        parallel.on_first_process(self._lock.take)

    def release(self) -> None:
        """Leave the folder to others."""
        self._lock.release()

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def latest_update(self) -> int | None:
        """Updates done at the last complete checkpoint; None without one."""
        return max(self.checkpoints.updates, default=None)

    def restore_agent(self, like: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Updates done at the last whole checkpoint, and what its policy acts by.

        Raises:
            RunError: without a checkpoint, or with one that does not fit `like`.
        """
        return self.checkpoints.restore(like)

    def trim_metrics(self, updates: int) -> None:
        """Drop the lines of updates after `updates`; a resumed run writes them again."""
        if self.metrics_path.exists():
            kept = [x for x in self.read_metrics() if x["update"] <= updates]
            files.write_text(self.metrics_path, "".join(json.dumps(x) + "\n" for x in kept))

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


def prepare(
    path: Path, config: TrainConfig, seeds: int, resume: bool, overwrite: bool
) -> list[RunFolder]:
    """The folders of `seeds` runs: `path` for one, `path`/seed0, ... for several.

    Raises:
        RunError: if one of them cannot be used as asked.
    """
    start = partial(RunFolder.create, overwrite=overwrite) if not resume else RunFolder.resume
    if seeds == 1:
        return [start(path, config)]
    parallel.on_first_process(lambda: _check_group(path, resume or overwrite))
    several = [dataclasses.replace(config, seed=config.seed + i) for i in range(seeds)]
    return [start(path / f"seed{each.seed}", each) for each in several]


def check(path: Path, config: TrainConfig) -> None:
    """Refuse a folder with a run of other settings; one that is absent is right.

    Raises:
        RunError: naming the settings.
    """
    if not path.exists():
        return
    different = configs.differences(_read_config(path), config)
    if different:
        listing = "; ".join(f"{k}: {a!r} there, {b!r} here" for k, (a, b) in different.items())
        raise RunError(f"{path} was started with other settings ({listing})")


def _lock(path: Path) -> Lock:
    return Lock(path / "lock", f"trains into {path}")


def _check_group(path: Path, may_exist: bool) -> None:
    if (path / "config.json").exists():
        raise RunError(f"{path} holds a single run; name another folder for several seeds")
    if path.exists() and not may_exist:
        raise RunError(_exists(path))


def _exists(path: Path) -> str:
    return (
        f"{path} exists. Continue it with --resume, replace it with --overwrite, or name another "
        "folder with --out"
    )


def _create(path: Path, config: TrainConfig, overwrite: bool) -> None:
    if path.exists():
        if not overwrite:
            raise RunError(_exists(path))
        if not (path / "config.json").exists():
            raise RunError(f"{path} holds no run (no config.json) and is left as it is")
        with _lock(path):
            old = path.with_name(f"{path.name}.replaced-{os.getpid()}")
            path.rename(old)
            shutil.rmtree(old)
    # Named when it is whole, so that a process killed here leaves nothing to refuse. Two may
    # be here at once: each has a name of its own, and the second finds the place taken.
    unfinished = path.with_name(f"{path.name}.partial-{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        unfinished.mkdir()
        (unfinished / "config.json").write_text(configs.to_json(config))
        unfinished.rename(path)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not (path / "config.json").exists():
            raise
        raise RunError(_exists(path)) from None


def _resume(path: Path, config: TrainConfig) -> None:
    if not path.exists():
        try:
            _create(path, config, overwrite=False)
            return
        except RunError:
            pass  # another process was faster: the folder is there now
    there = _read_config(path)
    if set(configs.differences(there, config)) == {"steps"} and config.steps > there.steps:
        _extend(path, there, config)
    check(path, config)


def _extend(path: Path, there: TrainConfig, config: TrainConfig) -> None:
    """Give the run more steps, if it has taken all that it had."""
    with _lock(path):
        if not (path / "summary.json").exists():
            raise RunError(
                f"{path} has not ended yet: go on with --steps {there.steps}, and give it more "
                f"steps ({config.steps}) after that"
            )
        before = extended(path)
        if before[-1:] != [there.steps]:  # else it was killed here before
            files.write_text(path / EXTENDED, json.dumps([*before, there.steps]) + "\n")
        (path / "summary.json").unlink()
        files.write_text(path / "config.json", configs.to_json(config))
    console.print(
        f"{path}: extended from {there.steps:,} to {config.steps:,} steps; from here on the "
        "learning rate is that of the longer run",
        soft_wrap=True,
    )


def extended(path: Path) -> list[int]:
    """The budgets, in steps, that a run had ended with before it was given more."""
    file = path / EXTENDED
    return json.loads(file.read_text()) if file.exists() else []


def _read_config(path: Path) -> TrainConfig:
    if not (path / "config.json").exists():
        inside = ", ".join(sorted(x.parent.name for x in path.glob("*/config.json")))
        hint = f"; there are runs in it: {inside}" if inside else ""
        raise RunError(f"{path} is no run folder (no config.json){hint}")
    try:
        return configs.from_json((path / "config.json").read_text())
    except ValueError as error:
        raise RunError(f"{path / 'config.json'}: {error}") from None
