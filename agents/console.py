"""What a run shows: a progress bar on a terminal, plain lines in a pipe; tables."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from metaenvs import evaluation
from metaenvs.evaluation import as_interval, find

console = Console()


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


class TrainingProgress:
    """Progress over `updates`, with steps/s, return per task and time left."""

    def __init__(self, updates: int, done: int, every_seconds: float = 10.0):
        self._updates, self._first, self._done = updates, done, done
        self._start = self._last_line = time.monotonic()
        self._every = every_seconds
        self._bar = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("update"),
                MofNCompleteColumn(),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[text]}"),
                TimeRemainingColumn(),
                console=console,
            )

    def __enter__(self) -> "TrainingProgress":
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(
                "", total=self._updates, completed=self._first, text="compiling"
            )
        return self

    def __exit__(self, *_) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, line: dict[str, Any]) -> None:
        """A line of the metrics."""
        self._done = line["update"]
        returns = "  ".join(
            f"{task} {value:.0f}" for task, value in line["return"].items() if value is not None
        )
        text = f"{line['steps_per_second']:,.0f} steps/s  {returns}"
        if self._bar:
            self._bar.update(self._task, completed=self._done, text=text)
            return
        now = time.monotonic()
        if now - self._last_line >= self._every or self._done in (self._first + 1, self._updates):
            self._last_line = now
            rate = (now - self._start) / max(self._done - self._first, 1)
            left = duration(rate * (self._updates - self._done))
            console.print(
                f"update {self._done}/{self._updates}  {text}  {left} left", soft_wrap=True
            )


def evaluation_table(result: dict[str, Any]) -> Table:
    """Returns per task and cell: the agent, its controls and the random policy."""
    protocol = result["protocol"]
    table = Table(
        title=f"{result['suite']}  {protocol['id']}: return per episode, mean of the first "
        f"{result['trained_episodes']} [95 % interval], {protocol['trials_per_task']} trials "
        "per task",
        title_justify="left",
    )
    names = ["random", *(w.name for w in _CONTROLS), "agent"]
    for heading in ("cell", "task", *names, "agent by episode"):
        table.add_column(heading, justify="left" if heading in ("cell", "task") else "right")
    for cell in protocol["cells"]:
        cell_name = f"{cell['split']}/{cell['projection']}"
        entries = {}
        for name in names:
            try:
                entries[name] = find(result, cell_name, name)
            except ValueError:
                continue  # this control does not run in this cell
        agent = entries["agent"]
        for task in [*agent["tasks"], "mean"]:
            row = []
            for name in names:
                if name not in entries:
                    row.append("")
                    continue
                summary = _of_task(entries[name], task)
                row.append(str(as_interval(summary["return"])).replace(".0", ""))
            by_episode = _of_task(agent, task)["return_by_episode"]
            row.append(" ".join(f"{x['mean']:.0f}" for x in by_episode))
            style = "bold" if task == "mean" else None
            table.add_row(cell_name, task, *row, style=style, end_section=task == "mean")
    return table


_CONTROLS = (evaluation.WIPED_EVERY_STEP, evaluation.WIPED_EVERY_EPISODE)


def _of_task(entry: dict[str, Any], task: str) -> dict[str, Any]:
    return entry["mean_over_tasks"] if task == "mean" else entry["tasks"][task]


def suites_table() -> Table:
    """All suites: ids, splits, tasks, sizes, families."""
    import metaenvs
    from metaenvs.suites import SUITES

    table = Table(title="Suites", title_justify="left", show_lines=True)
    for heading in ("id", "train", "held out", "O / A", "projection", "trial", "notes"):
        table.add_column(heading)
    for suite in SUITES.values():
        env, params = metaenvs.make(suite.id)
        missing = (
            f"\nNot yet in it: {', '.join(suite.missing)}" if suite.missing else ""
        )
        table.add_row(
            suite.id,
            "\n".join(suite.train),
            "\n".join(suite.held_out),
            f"{suite.obs_size} / {suite.action_size}",
            suite.projection,
            f"{suite.episodes_per_trial} episode(s)\n{env.trial_length(params)} steps",
            suite.summary + missing,
        )
    return table
