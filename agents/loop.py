"""The training loop: updates, metrics, checkpoints."""

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from agents import sinks
from agents.config import TrainConfig
from agents.console import TrainingProgress, console
from agents.errors import DivergedError, RunError
from agents.run_folder import RunFolder
from agents.train import Trainer


def check(config: TrainConfig, logs: Sequence[str] = ()) -> None:
    """Refuse settings that cannot be trained with, before anything is compiled or written.

    Raises:
        ValueError: unknown environment, memory, projection, part of the observation or log.
    """
    sinks.check(logs)
    Trainer(config)


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop after the present update.

    A second one interrupts at once.
    """

    def __init__(self):
        self.wanted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: Any) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
        console.print("stopping after this update")


def train(run: RunFolder, logs: Sequence[str] = ("tensorboard",)) -> bool:
    """Train to the end of the run's budget, from its last whole checkpoint if it has one.

    On Ctrl-C or SIGTERM the present update is finished and saved first. `logs` are names
    in `sinks.SINKS`. Returns whether the end was reached.

    Raises:
        DivergedError: if the loss, the gradient or the parameters become infinite or NaN.
        RunError: if a line or a checkpoint cannot be written.
    """
    trainer = Trainer(run.config)
    done, state = 0, None
    if run.checkpoints.updates:
        done, state = run.checkpoints.restore(trainer.state_shapes())
    run.checkpoints.set_aside_after(done)
    state = trainer.init() if state is None else state
    console.print(
        f"{run.path}: {run.config.env}, {trainer.updates} updates of {trainer.steps_per_update:,} "
        f"steps ({run.config.envs} environments x {trainer.rollout_length}), "
        f"{_n_params(state.params):,} parameters, {jax.default_backend()}"
        + (f"; continues after update {done}" if done else ""),
        soft_wrap=True,
    )
    with ExitStack() as stack:
        progress = stack.enter_context(TrainingProgress(trainer.updates, done))
        outputs = [sinks.JsonLines(run, done), *(sinks.SINKS[x][0](run, done) for x in logs)]
        for output in outputs:
            stack.callback(output.close)
        stop = stack.enter_context(StopRequest())
        due = Due(run.config)
        while done < trainer.updates and not stop.wanted:
            start = time.perf_counter()
            state, metrics = trainer.update(state)
            line = _line(trainer, done + 1, jax.device_get(metrics), start)
            _stop_unless_finite(run, line)
            done += 1
            with _full_disk_named(run):
                for output in outputs:
                    output.write(line)
            progress.show(line)
            due.add(line)
            if due(done) or done == trainer.updates or stop.wanted:
                run.checkpoints.save(done, state, due.score())
                due = Due(run.config)
    if done < trainer.updates:
        console.print(f"stopped after update {done}; go on with --resume")
    return done == trainer.updates


class Due:
    """Whether a checkpoint is due, and the score of the one that is: the training return
    since the last, mean over tasks."""

    def __init__(self, config: TrainConfig):
        self._config = config
        self._since = time.monotonic()
        self._returns: dict[str, list[float]] = {}

    def add(self, line: dict[str, Any]) -> None:
        for task, value in line["return"].items():
            self._returns.setdefault(task, []).extend([] if value is None else [value])

    def __call__(self, update: int) -> bool:
        minutes = (time.monotonic() - self._since) / 60
        every = self._config.checkpoint_every
        return update % every == 0 or minutes >= self._config.checkpoint_minutes

    def score(self) -> float | None:
        """None if some task has ended no episode: the mean would be of other tasks."""
        if not all(self._returns.values()):
            return None
        return float(np.mean([np.mean(values) for values in self._returns.values()]))


def _stop_unless_finite(run: RunFolder, line: dict[str, Any]) -> None:
    for name in ("loss", "grad_norm", "param_norm"):
        if not math.isfinite(line[name]):
            raise DivergedError(
                f"{name} is {line[name]} in update {line['update']}; the last good checkpoint is "
                f"that of update {run.latest_update} in {run.path}"
            )


@contextmanager
def _full_disk_named(run: RunFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{run.path} cannot be written to ({error.strerror}); the last whole checkpoint is "
            f"that of update {run.latest_update}. Once it can be "
            "written to, go on with --resume"
        ) from error


def _n_params(params: Any) -> int:
    return sum(x.size for x in jax.tree.leaves(params))


def _line(trainer: Trainer, update: int, metrics: dict[str, Any], start: float) -> dict[str, Any]:
    """A line of metrics.jsonl. A task none of whose episodes ended has no return (null)."""
    total, count = metrics.pop("return_sum"), metrics.pop("return_count")

    def mean(total: np.ndarray, count: np.ndarray) -> float | None:
        return float(total.sum() / count.sum()) if count.sum() else None

    names = trainer.trained_tasks
    rows = [trainer.env.task_names.index(n) for n in names]
    seconds = time.perf_counter() - start
    return {
        "update": update,
        "steps": update * trainer.steps_per_update,
        "seconds": seconds,
        "steps_per_second": trainer.steps_per_update / seconds,
        "return": {n: mean(total[i], count[i]) for n, i in zip(names, rows, strict=True)},
        "return_by_episode": {
            n: [mean(total[i, k], count[i, k]) for k in range(total.shape[1])]
            for n, i in zip(names, rows, strict=True)
        },
        **{name: float(value) for name, value in metrics.items()},
    }


def default_path(config: Any) -> Path:
    """Where a run goes that was given no folder."""
    return Path("runs") / f"{config.preset}-seed{config.seed}"
