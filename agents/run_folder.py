"""The folder of a run: settings, metrics, checkpoints. Nothing in it is lost by accident.

config.json      settings
metrics.jsonl    one line per update
checkpoints/     orbax, each written under another name and moved when whole
evaluation.json  written by `metaenvs evaluate`
"""

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from agents import config as configs
from agents.config import TrainConfig
from agents.errors import RunError


class RunFolder:
    """A run on disk. Use `create`, `resume` or `open`."""

    def __init__(self, path: Path, config: TrainConfig):
        self.path = path
        self.config = config
        # Orbax wants absolute paths.
        self._manager = ocp.CheckpointManager(
            (path / "checkpoints").absolute(),
            item_handlers=ocp.StandardCheckpointHandler(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=config.keep_checkpoints, enable_async_checkpointing=False
            ),
        )

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
        return cls(path, config)

    @classmethod
    def resume(cls, path: Path, config: TrainConfig) -> "RunFolder":
        """The folder of a run that `config` started, or a new one if there is none.

        Raises:
            RunError: if the run in it has other settings; the message names them.
        """
        if not path.exists():
            return cls.create(path, config)
        run = cls.open(path)
        different = configs.differences(run.config, config)
        if different:
            listing = "; ".join(f"{k}: {a!r} there, {b!r} here" for k, (a, b) in different.items())
            raise RunError(f"{path} was started with other settings ({listing})")
        return run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run.

        Raises:
            RunError: if there is none at `path`, or its settings cannot be read.
        """
        if not (path / "config.json").exists():
            raise RunError(f"{path} is no run folder (no config.json)")
        try:
            config = configs.from_json((path / "config.json").read_text())
        except ValueError as error:
            raise RunError(f"{path / 'config.json'}: {error}") from None
        return cls(path, config)

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def latest_update(self) -> int | None:
        """Updates done at the last checkpoint; None without one."""
        return self._manager.latest_step()

    def save(self, state: Any) -> None:
        """Write a checkpoint of a training state."""
        update = int(state.update)
        if update != self.latest_update:
            self._manager.save(update, args=ocp.args.StandardSave(state))

    def restore(self, like: Any) -> Any:
        """The last checkpoint; `like` is a state (or its shapes) of the same settings.

        Raises:
            RunError: without a checkpoint, or if it does not fit the settings.
        """
        update = self.latest_update
        if update is None:
            raise RunError(f"{self.path} holds no checkpoint; continue the run with --resume")
        saved = self._shapes(self._manager.item_metadata(update))
        wanted = self._shapes(like)
        different = sorted(
            name for name in saved.keys() | wanted.keys() if saved.get(name) != wanted.get(name)
        )
        if different:
            name = different[0]
            raise RunError(
                f"checkpoint {update} of {self.path} does not fit its config.json: "
                f"{len(different)} arrays differ, the first is {name} "
                f"({saved.get(name, 'absent')} saved, {wanted.get(name, 'absent')} expected)"
            )
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return self._manager.restore(update, args=ocp.args.StandardRestore(abstract))

    @staticmethod
    def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
        # Orbax gives dicts back where dataclasses and tuples went in: compare by names.
        leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
        return {_dotted(path): tuple(leaf.shape) for path, leaf in leaves}

    def trim_metrics(self, updates: int) -> None:
        """Drop the lines of updates after `updates`; a resumed run writes them again."""
        if self.metrics_path.exists():
            kept = [x for x in self.read_metrics() if x["update"] <= updates]
            partial = self.metrics_path.with_suffix(".partial")
            partial.write_text("".join(json.dumps(x) + "\n" for x in kept))
            partial.replace(self.metrics_path)

    def log(self, line: dict[str, Any]) -> None:
        """Append a line to the metrics."""
        with self.metrics_path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """All whole lines of the metrics."""
        lines = self.metrics_path.read_text().splitlines()
        out = []
        for line in lines:
            try:
                out.append(json.loads(line))
            except json.JSONDecodeError:
                continue  # the last line of a killed run
        return out


def _dotted(path: tuple[Any, ...]) -> str:
    names = (getattr(k, "name", getattr(k, "key", getattr(k, "idx", k))) for k in path)
    return ".".join(str(name) for name in names)
