"""What a run shows: a progress bar on a terminal, plain lines in a pipe; tables."""

import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

console = Console()


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


class _Bar(Progress):
    """A line with the bar, and below it one on every task, cut at the edge of the screen."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield Text(self.below, style="dim", no_wrap=True, overflow="ellipsis")


class TrainingProgress:
    """Progress over `updates`: the mean return and the time left, steps/s, return per task."""

    def __init__(self, updates: int, done: int, every_seconds: float = 10.0):
        self._updates, self._first, self._done = updates, done, done
        self._start = self._last_line = time.monotonic()
        self._every = every_seconds
        self._bar = None
        if console.is_interactive:
            self._bar = _Bar(
                TextColumn("update"),
                MofNCompleteColumn(),
                BarColumn(bar_width=20),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
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
        known = {task: value for task, value in line["return"].items() if value is not None}
        returns = "  ".join(f"{task} {_short(value)}" for task, value in known.items())
        mean = ""
        if known and len(known) == len(line["return"]):  # else it would be of other tasks
            mean = f"mean {_short(sum(known.values()) / len(known))}  "
        speed = f"{line['steps_per_second']:,.0f} steps/s"
        if self._bar:
            self._bar.below = returns
            self._bar.update(self._task, completed=self._done, text=f"{mean}{speed}")
            return
        text = f"{speed}  {returns}"
        now = time.monotonic()
        first = self._done == self._first + 1
        if first:
            self._start = now  # what comes before is compilation
        if now - self._last_line >= self._every or first or self._done == self._updates:
            self._last_line = now
            if not first:
                rate = (now - self._start) / (self._done - self._first - 1)
                text += f"  {duration(rate * (self._updates - self._done))} left"
            console.print(f"update {self._done}/{self._updates}  {text}", soft_wrap=True)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"


def show_rows(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows that have the same columns."""
    table = Table(title=title, title_justify="left")
    for column, value in rows[0].items():
        table.add_column(column, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
