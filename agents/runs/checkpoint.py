"""Checkpoints of a training state that are either whole or not there.

Orbax writes each under another name and moves it when it is complete. Then it is opened,
and a list of the files' SHA-256 sums is added last (`sha256sum -c files.sha256` reads it): a
checkpoint without it was cut off, one that differs from it is damaged, and both are passed
over.
"""

import errno
import logging
import math
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from agents.failures import RunError
from agents.learner import parallel
from agents.runs import sums
from agents.screen.console import console
from agents.trees import by_name


class Checkpoints:
    """The checkpoints in a folder, named by the updates done.

    The last `keep` and the one of the highest score are kept. Only a `writable` one
    clears away what a killed process left unfinished.
    """

    def __init__(self, path: Path, keep: int, writable: bool):
        self.path = path.absolute()  # orbax wants absolute paths
        options = ocp.CheckpointManagerOptions(
            best_fn=_score,
            preservation_policy=AnyPreservationPolicy(
                [
                    LatestN(n=keep),
                    BestN(get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False),
                ]
            ),
            create=writable,
            cleanup_tmp_directories=writable,
            enable_async_checkpointing=False,
        )
        if writable:
            self.path.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(
            _plain(self.path, self), item_handlers=ocp.PyTreeCheckpointHandler(), options=options
        )

    @property
    def updates(self) -> list[int]:
        """Of all complete checkpoints, in order. Whether one is damaged, `restore` finds."""
        return sorted(
            n for n in self._manager.all_steps() if (self._folder(n) / sums.SUMS).exists()
        )

    @property
    def best(self) -> int | None:
        """The complete checkpoint of the highest score; None without one."""
        scores = {n: _score(self._manager.metrics(n)) for n in self.updates}
        return max(scores, key=scores.__getitem__, default=None)

    def save(self, update: int, state: Any, score: float | None = None) -> None:
        """Write a checkpoint, if there is none of this update.

        Raises:
            RunError: if it cannot be written, or read again; the last before it is as it was.
        """
        if update in self.updates:
            return
        # Threads of one that failed may write on after it was cleared away.
        if jax.process_index() == 0:
            self._clear(update)
        try:
            with _unlogged():
                self._manager.save(
                    update, args=ocp.args.PyTreeSave(state), metrics={"score": score}, force=True
                )
                self._open(update, _shapes(state))
            if jax.process_index() == 0:
                sums.write(self._folder(update))
        # Tensorstore reports a full disk as ValueError, orbax some faults as Exception.
        except Exception as error:
            self._clear(update)
            self._manager.reload()  # it lists what was begun, and would not write it again
            raise RunError(self._not_written(update, error)) from error

    def _clear(self, update: int) -> None:
        """Remove what was begun of a checkpoint."""
        for rest in self.path.glob(f"{update}*"):
            if rest.name == str(update) or rest.name.startswith(f"{update}."):
                shutil.rmtree(rest, ignore_errors=True)

    def restore(self, like: Any, at: int | None = None) -> tuple[int, Any]:
        """The newest checkpoint that is whole, or that of update `at`, and its update.

        `like` is a pytree of shapes with shardings. It may lack parts of what was saved:
        those are not read.

        Raises:
            RunError: if no checkpoint is whole, or if it does not fit `like`.
        """
        update = newest_whole([self]) if at is None else at
        return update, self._restore(update, like)

    def fault(self, update: int) -> str | None:
        """What is wrong with the files of a checkpoint; None if nothing is."""
        return sums.fault(self._folder(update))

    def set_aside_after(self, update: int) -> None:
        """Move all newer checkpoints out of the way: the run is to write them again."""
        parallel.on_first_process(partial(self._set_aside_after, update))
        self._manager.reload()

    def _set_aside_after(self, update: int) -> None:
        for folder in self.path.iterdir():
            if folder.name.isdecimal() and int(folder.name) > update:
                aside = self.path.parent / "set_aside"
                aside.mkdir(exist_ok=True)
                shutil.rmtree(aside / folder.name, ignore_errors=True)
                folder.rename(aside / folder.name)
                console.print(f"checkpoint {folder.name} moved to {aside}", soft_wrap=True)

    def _folder(self, update: int) -> Path:
        return self.path / str(update)

    def _open(self, update: int, shapes: dict[str, tuple[int, ...]]) -> None:
        """Read a checkpoint as it would be restored, into the memory of the host."""
        item = self._manager.item_metadata(update)
        as_arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), item)
        args = ocp.args.PyTreeRestore(item, restore_args=as_arrays)
        found = _shapes(self._manager.restore(update, args=args))
        if found != shapes:
            name = min(set(found.items()) ^ set(shapes.items()))[0]
            raise ValueError(
                f"what is read again differs: {name} is {found.get(name)}, not {shapes.get(name)}"
            )

    def _restore(self, update: int, like: Any) -> Any:
        saved = _shapes(self._manager.item_metadata(update))
        wanted = _shapes(like)
        different = sorted(name for name in wanted if saved.get(name) != wanted[name])
        if different:
            name = different[0]
            raise RunError(
                f"checkpoint {update} in {self.path} does not fit the run's config.json: "
                f"{len(different)} arrays differ, the first is {name} "
                f"({saved.get(name, 'absent')} saved, {wanted[name]} expected)"
            )
        return self._manager.restore(
            update,
            args=ocp.args.PyTreeRestore(
                like,
                restore_args=ocp.checkpoint_utils.construct_restore_args(like),
                partial_restore=True,
            ),
        )

    def _not_written(self, update: int, error: Exception) -> str:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
            reason = "no space left on the disk"
        usable = self.updates
        left = f"that of update {usable[-1]} is whole" if usable else "there is none before it"
        return (
            f"checkpoint {update} could not be written to {self.path} ({reason}); {left}. "
            "Once it can be written there, go on with --resume"
        )


@contextmanager
def _unlogged() -> Iterator[None]:
    """What orbax raises, each of its threads also logs, with a traceback: some at once, some when
    the error has long been raised, and what nobody waited for whenever it is forgotten."""
    logger = logging.getLogger("absl")
    logger.addFilter(_nothing)
    try:
        yield
    except Exception:
        logging.getLogger("asyncio").addFilter(_not_forgotten)
        logger.addFilter(_not_of_thread)
        raise
    finally:
        logger.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _not_of_thread(record: logging.LogRecord) -> bool:
    return "_SignalingThread" not in record.getMessage()


def _not_forgotten(record: logging.LogRecord) -> bool:
    return "was never retrieved" not in record.getMessage()


def _plain(path: Path, user: object) -> Path:
    """The folder `path` under a name of plain characters, as long as `user` lives.

    Orbax and its stores read some characters of a path as patterns ([1]), others as parts of
    an address or as separators: a checkpoint written there is empty. So a folder with any but
    plain ones is reached through a link.
    """
    if re.fullmatch(r"[A-Za-z0-9_./-]*", str(path)):
        return path
    holder = tempfile.mkdtemp(prefix="metaenvs-")
    weakref.finalize(user, shutil.rmtree, holder, ignore_errors=True)
    link = Path(holder) / "checkpoints"
    link.symlink_to(path, target_is_directory=True)
    return link


def newest_whole(several: Sequence[Checkpoints]) -> int:
    """The newest update of which all of them have a checkpoint that is whole.

    Damaged ones are named on the screen and passed over.

    Raises:
        RunError: if there is none.
    """
    damaged = []
    for update in sorted(set.intersection(*(set(x.updates) for x in several)), reverse=True):
        faults = ((checkpoints.path, checkpoints.fault(update)) for checkpoints in several)
        path, fault = next((x for x in faults if x[1] is not None), (None, None))
        if fault is None:
            return update
        damaged.append(update)
        console.print(
            f"checkpoint {update} in {path} is damaged and passed over: {fault}",
            style="yellow",
            soft_wrap=True,
        )
    paths = ", ".join(str(checkpoints.path) for checkpoints in several)
    if damaged:
        raise RunError(f"{paths}: no checkpoint is whole; damaged are {damaged}")
    raise RunError(f"{paths}: no checkpoint; continue the run with --resume")


def _score(metrics: Any) -> float:
    score = (metrics or {}).get("score")
    return -math.inf if score is None else score


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    # Orbax gives dicts back where dataclasses and tuples went in: compare by names.
    return {name: tuple(leaf.shape) for name, leaf in by_name(tree).items()}
