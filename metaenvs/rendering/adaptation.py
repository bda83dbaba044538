"""Adaptation curves of an evaluation: reward against time inside the trial."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from metaenvs.evaluation import find

# Okabe-Ito: distinguishable with every kind of colour vision.
_STYLES = {
    "agent": ("#0072B2", "-"),
    "carry wiped every episode": ("#009E73", "--"),
    "carry wiped every step": ("#D55E00", "-."),
    "random": ("#777777", ":"),
}


def save(result: dict[str, Any], path: Path, projection: str | None = None) -> None:
    """Draw every task of both splits behind fresh projections of one family.

    Args:
        result: an evaluation (`metaenvs.evaluation.evaluate`).
        path: of the PNG.
        projection: the family (default: that of the protocol's first cell).
    """
    first = result["protocol"]["cells"][0]["projection"]
    projection = first if projection is None else projection
    cells = [
        f"{cell['split']}/{cell['projection']}"
        for cell in result["protocol"]["cells"]
        if cell["projection"] == projection
    ]
    tasks = {cell: [*find(result, cell, "agent")["tasks"], "mean"] for cell in cells}
    columns = max(len(names) for names in tasks.values())
    figure = Figure(figsize=(3.0 * columns, 2.7 * len(cells) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(cells), columns, squeeze=False)
    for row, cell in zip(axes, cells, strict=True):
        for ax, task in zip(row, tasks[cell], strict=False):
            _panel(ax, result, cell, task)
        for ax in row[len(tasks[cell]) :]:
            ax.set_axis_off()
        row[0].set_ylabel("reward per step")
    for ax in axes[-1]:
        ax.set_xlabel("step in the trial")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    agent = result["agent"]
    figure.suptitle(
        f"{result['suite']}, {result['protocol']['id']}: {agent.get('memory', 'policy')} "
        f"after {agent.get('steps', 0):,} steps, fresh {projection} projections "
        "(bands: 95 % intervals; grey lines: ends of episodes; shaded: beyond training)",
        fontsize="small",
    )
    figure.savefig(path, dpi=130, metadata={"Software": None})


def _panel(ax: Any, result: dict[str, Any], cell: str, task: str) -> None:
    length = result["trial_length"]
    episodes = result["protocol"]["episodes_per_trial"]
    for entry in result["cells"]:
        if entry["cell"] != cell:
            continue
        summary = entry["mean_over_tasks"] if task == "mean" else entry["tasks"][task]
        colour, line = _STYLES[entry["policy"]]
        curve = {k: np.array([x[k] for x in summary["curve"]]) for k in ("mean", "low", "high")}
        steps = (np.arange(len(curve["mean"])) + 0.5) * length / len(curve["mean"])
        ax.plot(steps, curve["mean"], line, color=colour, label=entry["policy"], linewidth=1.4)
        ax.fill_between(steps, curve["low"], curve["high"], color=colour, alpha=0.18, linewidth=0)
    for k in range(1, episodes):
        ax.axvline(k * length / episodes, color="0.85", linewidth=0.8, zorder=0)
    ax.axvspan(result["trained_episodes"] * length / episodes, length, color="0.95", zorder=-1)
    ax.set_title(f"{cell.split('/')[0]}: {task}", fontsize="medium")
    ax.set_xlim(0, length)
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
