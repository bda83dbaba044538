"""What a run shows: a progress bar on a terminal, plain lines in a pipe; tables."""

import time
from typing import Any

from rich import box
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
        if now - self._last_line >= self._every or self._done in (self._first + 1, self._updates):
            self._last_line = now
            rate = (now - self._start) / max(self._done - self._first, 1)
            left = duration(rate * (self._updates - self._done))
            console.print(
                f"update {self._done}/{self._updates}  {text}  {left} left", soft_wrap=True
            )


def show_evaluation(result: dict[str, Any]) -> None:
    """Print the returns per cell and task: random policy, controls, agent."""
    protocol = result["protocol"]
    episodes = result["trained_episodes"]
    console.print(
        f"\n{result['suite']}, {protocol['id']}: mean return of the first {episodes} episode(s) "
        f"of a trial, {protocol['trials_per_task']} trials per task, ± half of the 95 % "
        "interval. wiped: the agent with its memory emptied every step or episode. By "
        "episode: the agent's return in each episode of the trial.",
    )
    for cell in protocol["cells"]:
        console.print(_cell_table(result, f"{cell['split']}/{cell['projection']}"))


def _cell_table(result: dict[str, Any], cell: str) -> Table:
    entries = {entry["policy"]: entry for entry in result["cells"] if entry["cell"] == cell}
    agent = entries["agent"]
    names = [*(name for name in entries if name != "agent"), "agent"]
    table = Table(title=cell.replace("/", " tasks, ") + " projections", box=box.SIMPLE_HEAD)
    table.title_justify = "left"
    table.add_column("task", no_wrap=True)
    for name in names:
        table.add_column(name.replace("carry wiped every ", "wiped\nevery "), justify="right")
    table.add_column("by episode", justify="right", no_wrap=True)
    for task in [*agent["tasks"], "mean"]:
        row = [_with_interval(_of_task(entries[name], task)["return"]) for name in names]
        by_episode = _of_task(agent, task)["return_by_episode"]
        row.append(" ".join(f"{x['mean']:.0f}" for x in by_episode))
        table.add_row(task, *row, style="bold" if task == "mean" else None)
    return table


def _with_interval(value: dict[str, float]) -> str:
    return f"{value['mean']:.0f} ±{(value['high'] - value['low']) / 2:.0f}"


def _of_task(entry: dict[str, Any], task: str) -> dict[str, Any]:
    return entry["mean_over_tasks"] if task == "mean" else entry["tasks"][task]


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
