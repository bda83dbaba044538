"""The data behind docs/results.md: what runs left, compressed, in results/runs."""

import dataclasses
import functools
import json
import lzma
from pathlib import Path

import numpy as np

from agents.report.runs import Agent, Run
from agents.runs import experiment, summary
from agents.runs.experiment import Experiment
from metaenvs import evaluation

RESULTS = Path(__file__).parent
DOCS = RESULTS.parent / "docs"
DATA = RESULTS / "runs"
FILES = ("metrics.jsonl", "evaluation.json")
MAIN = "random-projection-v0"
SEARCH = "random-projection-v0-search"
ENTROPY = "random-projection-v0-entropy"
LONG = "random-projection-v0-long"
STOPPED = "random-projection-v0-stopped"
DYNAMICS = "random-projection-dynamics-v0"
IN_CONTEXT = "random-projection-v0-in-context"
WITH_MODEL = "random-projection-v0-in-context-model"
WITH_LOCAL_MODEL = "random-projection-v0-in-context-local"
WITH_LOCAL_MODEL_FOUR = "random-projection-v0-in-context-local-four"
WITH_LOCAL_MODEL_LONG = "random-projection-v0-in-context-local-long"
GUIDED = "random-projection-v0-in-context-guided"
GUIDED_FOUR = "random-projection-v0-in-context-guided-four"
MEMORIES = "random-projection-v0-in-context-memories"
SLOPE_PART = 0.2
"""Of a run, at its end: where the slope of its learning curve is measured."""


@functools.cache
def listed(name: str) -> Experiment:
    return experiment.read(RESULTS / "experiments" / f"{name}.toml")


def collect(name: str, root: Path, stopped: bool = False) -> None:
    """Copy, compressed, what the runs of an experiment left below `root`.

    Of those that have not ended nothing, unless they are `stopped`.
    """
    for path, _ in listed(name).members(root):
        if not stopped and not (path / "summary.json").exists():
            print(f"{path} has not ended: left out")
            continue
        for file in FILES:
            if (path / file).exists():
                copy = DATA / name / f"{path.parent.name}-{path.name}.{file}.xz"
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(lzma.compress((path / file).read_bytes()))
                print(f"wrote {copy}")


@functools.cache
def load(name: str) -> dict[str, Agent]:
    """The experiment's runs of which there are files, their seeds together, by name."""
    agents = {}
    for run_name in listed(name).runs:
        runs = []
        for path in sorted((DATA / name).glob(f"{run_name}-seed*.metrics.jsonl.xz")):
            lines = lzma.decompress(path.read_bytes()).decode().splitlines()
            evaluated = path.with_name(path.name.replace("metrics.jsonl", "evaluation.json"))
            result = {}
            if evaluated.exists():
                result = json.loads(lzma.decompress(evaluated.read_bytes()))
                evaluation.validate(result, str(evaluated))
            runs.append(Run(path.name.split(".")[0], result, None, tuple(map(json.loads, lines))))
        if runs:
            agents[run_name] = Agent(run_name.upper(), tuple(runs))
    return agents


def final_returns(run: Run, part: float = summary.FINAL_PART) -> dict[str, float]:
    """Return of each training task over the last part of a run's updates."""
    lines = summary.last(run.metrics, part)
    return {
        task: float(np.mean([x["return"][task] for x in lines if x["return"][task] is not None]))
        for task in lines[0]["return"]
    }


def mean_by_task(agent: Agent, part: float = summary.FINAL_PART) -> dict[str, float]:
    """`final_returns`, mean over seeds, and the mean over tasks."""
    by_run = [final_returns(run, part) for run in agent.runs]
    by_task = {task: float(np.mean([x[task] for x in by_run])) for task in by_run[0]}
    return by_task | {"mean": float(np.mean(list(by_task.values())))}


def means_by_seed(agent: Agent) -> str:
    """The mean over tasks of each seed's `final_returns`."""
    return ", ".join(f"{np.mean(list(final_returns(run).values())):.0f}" for run in agent.runs)


def last_half(run: Run) -> list[list[float]]:
    """Entropy, gradient's norm and approximate KL of the updates in a run's last half."""
    lines = run.metrics[len(run.metrics) // 2 :]
    return [[x[name] for x in lines] for name in ("entropy", "grad_norm", "approx_kl")]


def until(agent: Agent, steps: int) -> Agent:
    """The first part of an agent's training."""
    runs = (
        dataclasses.replace(run, metrics=tuple(x for x in run.metrics if x["steps"] <= steps))
        for run in agent.runs
    )
    return dataclasses.replace(agent, runs=tuple(runs))


def speed(run: Run) -> tuple[float, float]:
    """Median over updates of steps per second, and the minutes of the run at that rate."""
    rate = float(np.median([x["steps_per_second"] for x in run.metrics]))
    return rate, run.metrics[-1]["steps"] / rate / 60


def slope(run: Run) -> float:
    """Growth of the mean return over the last part of a run, per 10 million steps."""
    last = run.metrics[-round(SLOPE_PART * len(run.metrics)) :]
    points = [(x["steps"], summary.mean_return(x)) for x in last]
    steps, returns = np.array([p for p in points if p[1] is not None], float).T
    return float(np.polyfit(steps / 1e7, returns, 1)[0])


def first_episodes(values: np.ndarray | None) -> np.ndarray:
    """`[runs, tasks, trials]` of the episodes that the suite trains on: the first."""
    assert values is not None, "a task has no anchor"
    return np.asarray(values[..., 0])


def own_trials(policy: str, values: np.ndarray) -> np.ndarray:
    """Without repetitions: random actions are the same trials in every seed's evaluation."""
    return values[:1] if policy == "random" else values
