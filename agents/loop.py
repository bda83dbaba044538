"""The training loop: updates, metrics, checkpoints."""

import math
import signal
import threading
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tensorboardX import SummaryWriter

from agents.config import TrainConfig
from agents.console import TrainingProgress, console
from agents.errors import DivergedError
from agents.run_folder import RunFolder
from agents.train import Trainer


def check(config: TrainConfig) -> None:
    """Refuse settings that cannot be trained with, before anything is compiled or written.

    Raises:
        ValueError: unknown environment, memory, projection or part of the observation.
    """
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


def train(run: RunFolder) -> bool:
    """Train to the end of the run's budget, from its last checkpoint if it has one.

    On Ctrl-C or SIGTERM the present update is finished and saved first. Returns whether
    the end was reached.

    Raises:
        DivergedError: if the loss becomes infinite or NaN.
    """
    trainer = Trainer(run.config)
    if run.latest_update is None:
        state = trainer.init()
    else:
        state = run.restore(jax.eval_shape(trainer.init))
    done = int(state.update)
    run.trim_metrics(done)
    console.print(
        f"{run.path}: {run.config.env}, {trainer.updates} updates of {trainer.steps_per_update:,} "
        f"steps ({run.config.envs} environments x {trainer.rollout_length}), "
        f"{_n_params(state.params):,} parameters, {jax.default_backend()}"
        + (f"; continues after update {done}" if done else ""),
        soft_wrap=True,
    )
    with (
        SummaryWriter(str(run.path), purge_step=done * trainer.steps_per_update) as writer,
        TrainingProgress(trainer.updates, done) as progress,
        StopRequest() as stop,
    ):
        while done < trainer.updates and not stop.wanted:
            start = time.perf_counter()
            state, metrics = trainer.update(state)
            line = _line(trainer, done + 1, jax.device_get(metrics), start)
            if not math.isfinite(line["loss"]):
                raise DivergedError(
                    f"loss is {line['loss']} in update {done + 1}; the last good checkpoint "
                    f"is that of update {run.latest_update} in {run.path}"
                )
            done += 1
            run.log(line)
            _to_tensorboard(writer, line)
            progress.show(line)
            last = done == trainer.updates or stop.wanted
            if last or done % run.config.checkpoint_every == 0:
                run.save(state)
    if done < trainer.updates:
        console.print(f"stopped after update {done}; go on with --resume")
    return done == trainer.updates


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


def _to_tensorboard(writer: SummaryWriter, line: dict[str, Any]) -> None:
    for name, value in line.items():
        if isinstance(value, float):
            writer.add_scalar(f"train/{name}", value, line["steps"])
    for task, value in line["return"].items():
        if value is not None:
            writer.add_scalar(f"return/{task}", value, line["steps"])


def default_path(config: Any) -> Path:
    """Where a run goes that was given no folder."""
    return Path("runs") / f"{config.preset}-seed{config.seed}"
