"""An evaluation on the screen: its progress, and its tables when it is done."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from agents.screen.console import console
from metaenvs import evaluation, statistics
from metaenvs.evaluation.looks import look

_LATER = (evaluation.WIPED_EVERY_EPISODE.name, evaluation.REDRAWN_EVERY_EPISODE.name)
"""Controls of which the last episode is shown: in the first they are the agent itself."""


class EvaluationProgress:
    """A bar on a terminal, a line for each new policy and cell in a pipe."""

    def __init__(self):
        self._doing = ""
        self._bar = None
        if console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=20),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=console,
            )

    def __enter__(self) -> "EvaluationProgress":
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task("compiling", total=None)
        return self

    def __exit__(self, *_) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, progress: evaluation.Progress) -> None:
        if self._bar:
            self._bar.update(
                self._task,
                completed=progress.done,
                total=progress.total,
                description=progress.doing,
            )
        elif progress.doing != self._doing:
            self._doing = progress.doing
            share = progress.done / progress.total
            console.print(f"{share:4.0%}  {progress.doing}", soft_wrap=True, highlight=False)


def show(result: dict[str, Any]) -> None:
    """Print an evaluation: the fresh cells by task with all controls, then all cells."""
    protocol = result["protocol"]
    console.print(
        f"\n{result['suite']}, {protocol['id']}: mean return of the first "
        f"{result['own_episodes']} episode(s) of a trial, {protocol['trials_per_task']} trials "
        "per task, ± half of the 95 % interval. Score: 0 is the random policy, 1 a single-task "
        "expert without projection. Reset: the agent with its hidden state emptied at every step "
        "or episode; redrawn: with another projection in every episode.",
    )
    if protocol["id"].endswith(evaluation.QUICK):
        console.print(
            "[bold red]A first look[/bold red], no result of the protocol: few trials, its first "
            "condition only. Leave out --quick for a score that can be compared."
        )
    first = protocol["conditions"][0]
    cells = [f"{split}/{first['name']}" for split in first["splits"]]
    for cell in cells:
        console.print(_by_task(result, cell))
        last = _last_episode(result, cell)
        if last is not None:
            console.print(last)
    console.print(_by_episode(result, cells))
    console.print(_by_cell(result))


def _table(title: str) -> Table:
    # Seven columns have to fit into a terminal of 80.
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.title_justify = "left"
    return table


def _by_task(result: dict[str, Any], cell: str) -> Table:
    entries = {entry["policy"]: entry for entry in result["cells"] if entry["cell"] == cell}
    agent = entries["agent"]
    first = [name for name in entries if name != "agent" and name not in _LATER]
    table = _table(f"{cell} ({agent['projection']} projections)")
    table.add_column("task", no_wrap=True)
    for name in (*first, "agent"):
        table.add_column(look(name).short, justify="right")
    table.add_column("score", justify="right")
    for task in [*agent["tasks"], "mean"]:
        row = [_number(_of_task(entries[name], task)["return"]["value"]) for name in first]
        summary = _of_task(agent, task)
        row += [_with_interval(summary["return"]), _score(summary, "mean")]
        table.add_row(task, *row, style="bold" if task == "mean" else None)
    return table


def _last_episode(result: dict[str, Any], cell: str) -> Table | None:
    """The agent beside the controls that are itself in the first episode, if they were run."""
    entries = {entry["policy"]: entry for entry in result["cells"] if entry["cell"] == cell}
    later = [name for name in _LATER if name in entries]
    if not later:
        return None
    names = ["agent", *later]
    table = _table(f"{cell}, the trial's last episode")
    table.add_column("task", no_wrap=True)
    for name in names:
        table.add_column(look(name).short, justify="right")
    for task in [*entries["agent"]["tasks"], "mean"]:
        ends = [_of_task(entries[name], task)["return_by_episode"][-1] for name in names]
        style = "bold" if task == "mean" else None
        table.add_row(task, *(_with_interval(x) for x in ends), style=style)
    return table


def _by_episode(result: dict[str, Any], cells: Sequence[str]) -> Table:
    table = _table("return of the agent in each episode of the trial")
    table.add_column("cell", no_wrap=True)
    table.add_column("task", no_wrap=True)
    table.add_column("by episode")
    for cell in cells:
        agent = evaluation.find(result, cell, "agent")
        for task in [*agent["tasks"], "mean"]:
            values = [x["value"] for x in _of_task(agent, task)["return_by_episode"]]
            style = "bold" if task == "mean" else None
            table.add_row(cell, task, " ".join(map(_number, values)), style=style)
    return table


def _by_cell(result: dict[str, Any]) -> Table:
    title = (
        "all cells over tasks: mean, interquartile mean (of four tasks or more) and 20th "
        "percentile of the score, its gain from the first to the last episode, and its mean over "
        "the whole trial (area)"
    )
    table = _table(title)
    table.add_column("cell", no_wrap=True)
    for name in ("return", "score", "IQM", "20 %", "gain", "area"):
        table.add_column(name, justify="right")
    for entry in result["cells"]:
        if entry["policy"] == "agent":
            summary = entry["mean_over_tasks"]
            scores = ("mean", "iqm", "percentile_20", "gain", "area")
            row = [_score(summary, name, interval=name == "mean") for name in scores]
            if not statistics.iqm_trims(len(entry["tasks"])):
                row[scores.index("iqm")] = "-"
            table.add_row(entry["cell"], _with_interval(summary["return"]), *row)
    return table


def _with_interval(value: dict[str, float]) -> str:
    half = (value["high"] - value["low"]) / 2
    digits = _digits(max(abs(value["value"]), half))
    return f"{value['value']:.{digits}f} ±{half:.{digits}f}"


def _number(value: float) -> str:
    return f"{value:.{_digits(value)}f}"


def _digits(value: float) -> int:
    """Decimals: returns of some tasks are at most 1."""
    return 0 if abs(value) >= 10 else 2


def _score(summary: dict[str, Any], name: str, interval: bool = True) -> str:
    if summary["score"] is None:
        return "-"
    value = summary["score"][name]
    half = (value["high"] - value["low"]) / 2
    return f"{value['value']:.2f}" + (f" ±{half:.2f}" if interval else "")


def _of_task(entry: dict[str, Any], task: str) -> dict[str, Any]:
    summary = entry["mean_over_tasks"] if task == "mean" else entry["tasks"][task]
    return dict(summary)
