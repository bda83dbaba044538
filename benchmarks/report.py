"""What a benchmark answers: rows of figures, and claims that they must bear out."""

import dataclasses
import json
import platform
from pathlib import Path
from typing import Any

import jax
import matplotlib

from agents.screen.console import console, show_rows

matplotlib.use("Agg")  # before pyplot: no screen is needed
from matplotlib import pyplot as plt


@dataclasses.dataclass(frozen=True)
class Claim:
    """A ratio measured in this run, and the bounds (or one of them) that it must keep."""

    text: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        bounds = [
            f"{sign} {bound:g}"
            for sign, bound in ((">=", self.at_least), ("<=", self.at_most))
            if bound is not None
        ]
        figure = f"{self.text}: {self.value:.3g}"
        if not bounds:
            return f"     {figure}"
        return f"{'ok  ' if self.holds else 'MISS'} {figure} ({', '.join(bounds)})"


@dataclasses.dataclass(frozen=True)
class Plot:
    """Column `y` against column `x` of the rows, both logarithmic, a line for each `line`.

    `only` says which lines; () all.
    """

    x: str
    y: str
    line: str
    only: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Result:
    """Rows of one table (all with the same columns), what they must show, how to draw them."""

    rows: list[dict[str, Any]]
    claims: tuple[Claim, ...] = ()
    plots: tuple[Plot, ...] = ()


def show(title: str, result: Result) -> None:
    """Print the table and the claims."""
    show_rows(title, result.rows)
    for claim in result.claims:
        console.print(str(claim), style="" if claim.holds else "bold red", highlight=False)


def save(name: str, title: str, result: Result, folder: Path) -> None:
    """Write `NAME.json` and a PNG for each plot into `folder`."""
    content = {
        "question": title,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "jax": jax.__version__,
            "device": jax.devices()[0].device_kind,
            "devices": jax.device_count(),
        },
        "rows": result.rows,
        "claims": [dataclasses.asdict(claim) | {"holds": claim.holds} for claim in result.claims],
    }
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    for plot in result.plots:
        figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
        for label in plot.only or dict.fromkeys(row[plot.line] for row in result.rows):
            points = [(r[plot.x], r[plot.y]) for r in result.rows if r[plot.line] == label]
            axes.loglog(*zip(*sorted(points), strict=True), marker="o", label=label)
        axes.set(xlabel=plot.x, ylabel=plot.y)
        axes.set_title(title, fontsize="small", wrap=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
        figure.savefig(folder / f"{name}-{plot.y}.png".replace(" ", "_").replace("/", "_per_"))
        plt.close(figure)
