"""What a run shows: a progress bar on a terminal, plain lines in a pipe; tables."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

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
        if console.is_interactive:
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
            f"{task} {value:.0f}" if abs(value) >= 10 else f"{task} {value:.2f}"
            for task, value in line["return"].items()
            if value is not None
        )
        text = f"{line['steps_per_second']:,.0f} steps/s  {returns}"
        if self._bar:
            self._bar.update(self._task, completed=self._done, text=text)
            return
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


def show_suites() -> None:
    """Print all suites: ids, splits, tasks, sizes, families."""
    import metaenvs
    from metaenvs.suites import SUITES

    for suite in SUITES.values():
        env, params = metaenvs.make(suite.id)
        console.print(f"[bold]{suite.id}[/bold]  {suite.summary}", soft_wrap=True)
        for heading, value in (
            ("train", ", ".join(suite.train)),
            ("held out", ", ".join(suite.held_out)),
            (
                "sizes",
                f"observation {env.observation_size} (projected {suite.obs_size}), "
                f"action {suite.action_size}",
            ),
            *(
                (f"dynamics, {split}", ", ".join(f"{k} x {a}-{b}" for k, (a, b) in r.items()))
                for split, r in suite.dynamics.items()
            ),
            ("projection", suite.projection),
            ("trial", f"{suite.episodes_per_trial} episode(s), {env.trial_length(params)} steps"),
        ):
            console.print(f"  {heading:<19} {value}", soft_wrap=True, highlight=False)
        console.print()


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
