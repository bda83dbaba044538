"""What a report is made of: runs read from disk, and grouped where only their seed differs."""

import dataclasses
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agents import config as configs
from agents.config import TrainConfig
from agents.report import baselines
from agents.runs.run_folder import RunFolder
from metaenvs import evaluation


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder, or an evaluation alone (of an agent that is not ours, say).

    Attributes:
        name: of the folder or file.
        result: what its evaluation.json holds.
        folder: None for an evaluation alone.
        metrics: lines of metrics.jsonl.
    """

    name: str
    result: dict[str, Any]
    folder: RunFolder | None
    metrics: tuple[dict[str, Any], ...]

    @property
    def config(self) -> TrainConfig | None:
        return self.folder.config if self.folder else None

    @property
    def settings(self) -> dict[str, Any]:
        """By dotted name, for comparison: of the run, or what its evaluation says of it."""
        if self.config is None:
            return dict(self.result["agent"])
        return configs.flat(self.config)

    @property
    def about(self) -> str:
        """A line on what it is."""
        agent = self.result["agent"]
        parts = [str(agent[k]) for k in ("preset", "memory", "trained") if k in agent]
        parts += [f"{agent[k]:,} {k}" for k in ("steps", "frames") if k in agent]
        if self.trained_on:
            parts.append(f"evaluated before the last {self.trained_on:,} steps of its curves")
        return ", ".join([*parts, *([str(agent["url"])] if "url" in agent else [])])

    @property
    def trained_on(self) -> int:
        """Steps of training after the evaluation, which says nothing of them."""
        agent = self.result["agent"]
        evaluated = agent.get("frames", agent.get("steps"))  # the metrics count frames
        if not self.metrics or evaluated is None:
            return 0
        return max(0, self.metrics[-1]["steps"] - evaluated)


@dataclasses.dataclass(frozen=True)
class Agent:
    """Runs that differ in their seed only, as one."""

    name: str
    runs: tuple[Run, ...]

    @property
    def label(self) -> str:
        n = len(self.runs)
        return self.name if n == 1 else f"{self.name} ({n} seeds)"

    @cached_property
    def results(self) -> tuple[dict[str, Any], ...]:
        return tuple(run.result for run in self.runs)

    def tasks(self, cell: str) -> tuple[str, ...]:
        return tuple(evaluation.find(self.results[0], cell, "agent")["tasks"])

    def returns(self, cell: str, policy: str = "agent") -> np.ndarray:
        """`[runs, tasks, trials, episodes]` raw."""
        entries = [evaluation.find(result, cell, policy) for result in self.results]
        return np.array(
            [[task["returns"] for task in entry["tasks"].values()] for entry in entries], float
        )

    def scores(self, cell: str, policy: str = "agent") -> np.ndarray | None:
        """`[runs, tasks, trials, episodes]` normalised; None where an anchor is missing."""
        anchors = self.results[0]["anchors"]
        tasks = self.tasks(cell)
        if any(task not in anchors for task in tasks):
            return None
        zero, one = (
            np.array([anchors[task][which]["value"] for task in tasks])[:, None, None]
            for which in ("random", "expert")
        )
        return (self.returns(cell, policy) - zero) / (one - zero)


def load(paths: Sequence[Path], baseline: Sequence[str] = ()) -> list[Run]:
    """Read run folders and evaluation files, and evaluations that come with the package.

    Raises:
        ValueError: if a file is no evaluation, if the evaluations are not comparable, or if
            there is no such baseline.
        RunError: if a folder holds no run.
    """
    runs = [_load(path) for path in paths]
    for name in baseline:
        files = baselines.paths(name)
        runs += [Run(f"reference {name}", evaluation.load(path), None, ()) for path in files]
        paths = [*paths, *files]
    evaluation.check_comparable([run.result for run in runs], [str(path) for path in paths])
    return runs


def _load(path: Path) -> Run:
    if not (path / "config.json").exists() and (path / "evaluation.json").exists():
        path = path / "evaluation.json"  # of an agent that is no run of ours
    if path.is_file():
        result = evaluation.load(path)
        stem = path.name.removesuffix(".xz").removesuffix(".json").removesuffix(".evaluation")
        name = path.resolve().parent.name if stem == "evaluation" else stem
        return Run(str(result["agent"].get("name", name)), result, None, ())
    folder = RunFolder.open(path)
    result = evaluation.load(path / "evaluation.json")
    metrics = tuple(folder.read_metrics()) if folder.metrics_path.exists() else ()
    return Run(path.resolve().name, result, folder, metrics)


def group(runs: Sequence[Run]) -> list[Agent]:
    """Runs with the same settings but for the seed become one agent."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        settings = {k: v for k, v in run.settings.items() if k not in ("seed", "run", "config")}
        alone = {} if run.config else {"name": run.name}
        key = json.dumps([settings, alone, run.result["agent"].get("steps")], default=list)
        groups.setdefault(key, []).append(run)
    return [Agent(_name(members), tuple(members)) for members in groups.values()]


def _name(runs: Sequence[Run]) -> str:
    """What the names of the runs have in common, less a trailing word for the seed."""
    if len({run.name for run in runs}) == 1:
        return runs[0].name
    common = runs[0].name
    for run in runs:
        while not run.name.startswith(common):
            common = common[:-1]
    return common.removesuffix("seed").rstrip("-_. ") or runs[0].name


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Settings in which the runs differ: the value in each."""
    settings = [run.settings for run in runs]
    names = dict.fromkeys(name for each in settings for name in each)
    rows = {name: [each.get(name, "") for each in settings] for name in names}
    return {name: row for name, row in rows.items() if any(x != row[0] for x in row)}
