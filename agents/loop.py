"""The training loop: updates, metrics, checkpoints."""

import math
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tensorboardX import SummaryWriter

from agents.config import TrainConfig
from agents.console import TrainingProgress, console
from agents.run_folder import RunFolder
from agents.train import Trainer


class DivergedError(Exception):
    """The loss is no longer finite; the last good checkpoint is named."""


def check(config: TrainConfig) -> None:
    """Refuse settings that cannot be trained with, before anything is compiled or written.

    Raises:
        ValueError: unknown environment, memory, projection or part of the observation.
    """
    Trainer(config)


def train(run: RunFolder) -> None:
    """Train to the end of the run's budget, from its last checkpoint if it has one.

    Interrupted by Ctrl-C, it writes a checkpoint of the last whole update first.

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
        + (f"; continues after update {done}" if done else "")
    )
    writer = SummaryWriter(str(run.path), purge_step=done * trainer.steps_per_update)
    try:
        with TrainingProgress(trainer.updates, done) as progress:
            while done < trainer.updates:
                start = time.perf_counter()
                state, metrics = trainer.update(state)
                line = _line(trainer, done + 1, jax.device_get(metrics), start)
                done += 1
                if not math.isfinite(line["loss"]):
                    raise DivergedError(
                        f"loss is {line['loss']} in update {done}; the last good checkpoint "
                        f"is that of update {run.latest_update} in {run.path}"
                    )
                run.log(line)
                _to_tensorboard(writer, line)
                progress.show(line)
                if done % run.config.checkpoint_every == 0 or done == trainer.updates:
                    run.save(state)
    except KeyboardInterrupt:
        run.save(state)
        console.print(f"stopped after update {done}; go on with --resume")
        raise
    finally:
        writer.close()


def _n_params(params: Any) -> int:
    return sum(x.size for x in jax.tree.leaves(params))


def _line(trainer: Trainer, update: int, metrics: dict[str, Any], start: float) -> dict[str, Any]:
    """A line of metrics.jsonl. A task none of whose episodes ended has no return (null)."""
    total, count = metrics.pop("return_sum"), metrics.pop("return_count")

    def mean(total: np.ndarray, count: np.ndarray) -> float | None:
        return float(total.sum() / count.sum()) if count.sum() else None

    names = [n for n in trainer.env.task_names if n in trainer.env.splits["train"]]
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
