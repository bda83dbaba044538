"""The training loop: updates, metrics, checkpoints."""

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from agents.config import TrainConfig
from agents.failures import DivergedError, RunError
from agents.learner import parallel
from agents.learner.seeds import Seeds
from agents.learner.trainer import Trainer, TrainState
from agents.runs import sinks, summary
from agents.runs.checkpoint import newest_whole
from agents.runs.evaluate import Saved
from agents.runs.run_folder import RunFolder
from agents.screen.console import TrainingProgress, console
from metaenvs.evaluation import Policy


def check(
    config: TrainConfig, logs: Sequence[str] = (), devices: Sequence[Any] | None = None
) -> None:
    """Refuse settings that cannot be trained with, before anything is compiled or written.

    Raises:
        ValueError: unknown environment, memory, projection, part of the observation or log;
            environments that cannot be split over the devices.
    """
    sinks.check(logs)
    Trainer(config, devices)


class Given(NamedTuple):
    """Agents that a training builds on.

    Attributes:
        start: the one that the setting `init_from` names.
        experts: policies by task, where `ppo.guidance_coef` asks for them
            (`agents.learner.guidance`).
    """

    start: Saved | None = None
    experts: Mapping[str, Policy] = MappingProxyType({})


NOTHING = Given()


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


def train(
    *runs: RunFolder,
    logs: Sequence[str] = ("tensorboard",),
    devices: Sequence[Any] | None = None,
    given: Given = NOTHING,
) -> bool:
    """Train to the end of the runs' budget, from their last whole checkpoint if there is one.

    Several runs differ in their seed alone and are trained by one program. The folders are
    this process's alone meanwhile, and left to others at the end. On Ctrl-C or
    SIGTERM the present update is finished and saved first. `logs` are names in
    `sinks.SINKS`; `devices` are by default the first; `given` holds the agents that the settings
    ask for. Returns whether the end was reached.

    Raises:
        ValueError: if the runs are to start from an agent, or to be guided by experts, and
            none is given.
        DivergedError: if the loss, the gradient or the parameters become infinite or NaN.
        RunError: if a line or a checkpoint cannot be written, or another process trains into
            a folder.
    """
    with ExitStack() as stack:
        for run in runs:
            stack.callback(run.release)
            run.lock()
        return _train(runs, logs, devices, given)


def _train(
    runs: Sequence[RunFolder],
    logs: Sequence[str],
    devices: Sequence[Any] | None,
    given: Given,
) -> bool:
    config = runs[0].config
    trainer = Trainer(config, devices, given.experts)
    trainer.check_experts()
    seeds = Seeds(trainer, [run.config.seed for run in runs])
    done, state = _begin(runs, seeds, given.start)
    console.print(
        f"{', '.join(str(run.path) for run in runs)}: {config.env}, {trainer.updates} updates "
        f"of {trainer.steps_per_update:,} steps ({config.envs} environments x "
        f"{trainer.rollout_length}), {_n_params(seeds.split(state)[0]):,} parameters, "
        f"{trainer.mesh.size} {jax.default_backend()} device(s)"
        + (f"; continues after update {done}" if done else ""),
        soft_wrap=True,
    )
    with ExitStack() as stack:
        progress = stack.enter_context(TrainingProgress(trainer.updates, done))
        outputs = [_open_sinks(stack, run, logs, done) for run in runs]
        stop = stack.enter_context(StopRequest())
        due = [Due(run.config) for run in runs]
        stopping = False
        while done < trainer.updates and not stopping:
            began = time.perf_counter()
            state, metrics = seeds.update(state)
            lines = [
                _line(trainer, done + 1, each, began)
                for each in seeds.split(jax.device_get(metrics))
            ]
            for run, line in zip(runs, lines, strict=True):
                _stop_unless_finite(run, line)
            done += 1
            for i, run in enumerate(runs):
                with _full_disk_named(run):
                    for output in outputs[i]:
                        output.write(lines[i])
                due[i].add(lines[i])
            progress.show(_over_seeds(lines))
            # Processes get signals and look at their clocks each for itself.
            stopping, save = parallel.on_any_process([stop.wanted, due[0](done)])
            if save or stopping or done == trainer.updates:
                for run, each, single in zip(runs, due, seeds.split(state), strict=True):
                    run.checkpoints.save(done, single, each.score())
                due = [Due(run.config) for run in runs]
    if done < trainer.updates:
        console.print(f"stopped after update {done}; go on with --resume")
    elif jax.process_index() == 0:
        console.print(summary.write([run.path for run in runs]), soft_wrap=True)
    return done == trainer.updates


def _begin(runs: Sequence[RunFolder], seeds: Seeds, start: Saved | None) -> tuple[int, TrainState]:
    """Updates done and state of the last checkpoint that all runs have, or of the start."""
    several = [run.checkpoints for run in runs]
    found = [0]

    def find() -> None:
        if set.intersection(*(set(checkpoints.updates) for checkpoints in several)):
            found[0] = newest_whole(several)

    parallel.on_first_process(find)
    done = parallel.from_first_process(found[0])
    for checkpoints in several:
        checkpoints.set_aside_after(done)
    shapes = seeds.trainer.state_shapes()
    if not done:
        wanted = runs[0].config.init_from
        if wanted is None:
            return 0, seeds.init()
        if start is None:
            raise ValueError(f"init_from={wanted!r}: give the agent as start")
        agent = start.restore_agent(shapes.agent())[1]
        return 0, seeds.join(
            [seeds.trainer.started(each, agent, start.config) for each in seeds.split(seeds.init())]
        )
    return done, seeds.join([checkpoints.restore(shapes, done)[1] for checkpoints in several])


def _open_sinks(
    stack: ExitStack, run: RunFolder, logs: Sequence[str], done: int
) -> list[sinks.Sink]:
    if jax.process_index() > 0:
        return []
    outputs = [sinks.JsonLines(run, done), *(sinks.SINKS[name][0](run, done) for name in logs)]
    for output in outputs:
        stack.callback(output.close)
    return outputs


def _over_seeds(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is shown of the lines of several seeds: mean returns, steps of all."""

    def mean(values: list[float | None]) -> float | None:
        # Where a seed ended no episode of a task, a mean would be of other seeds.
        return None if None in values else float(np.mean([x for x in values if x is not None]))

    return {
        "update": lines[0]["update"],
        "steps_per_second": sum(line["steps_per_second"] for line in lines),
        "return": {task: mean([x["return"][task] for x in lines]) for task in lines[0]["return"]},
    }


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


def _n_params(state: TrainState) -> int:
    return sum(x.size for x in jax.tree.leaves(state.params["params"]))


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


def default_path(config: TrainConfig, seeds: int = 1) -> Path:
    """Where a run goes that was given no folder."""
    name = f"seed{config.seed}" if seeds == 1 else f"seeds{config.seed}-{config.seed + seeds - 1}"
    return Path("runs") / f"{config.preset}-{name}"
