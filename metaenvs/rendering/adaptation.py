"""Adaptation curves of an evaluation: reward against time inside the trial."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from metaenvs.evaluation import find
from metaenvs.evaluation.looks import look


def save(result: dict[str, Any], path: Path, condition: str | None = None) -> None:
    """Draw every task of every split under one condition, and all policies that were run.

    Args:
        result: an evaluation (`metaenvs.evaluation.evaluate`).
        path: of the PNG.
        condition: of the protocol (default: its first, which has the controls).
    """
    condition = condition or result["protocol"]["conditions"][0]["name"]
    entries = [
        entry
        for entry in result["cells"]
        if entry["condition"] == condition and entry["policy"] == "agent"
    ]
    tasks = {entry["cell"]: [*entry["tasks"], "mean"] for entry in entries}
    columns = max(len(names) for names in tasks.values())
    figure = Figure(figsize=(3.0 * columns, 2.7 * len(entries) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(entries), columns, squeeze=False)
    for row, cell in zip(axes, tasks, strict=True):
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
    name = agent.get("memory", agent.get("name", "policy"))
    trained = f" after {agent['steps']:,} steps" if "steps" in agent else ""
    figure.suptitle(
        f"{result['suite']}, {result['protocol']['id']}: {name}{trained}, "
        f"{entries[0]['projection']} projections "
        "(bands: 95 % intervals; grey lines: ends of episodes; shaded: beyond training)",
        fontsize="small",
    )
    figure.savefig(path, dpi=130, metadata={"Software": None})


def _panel(ax: Any, result: dict[str, Any], cell: str, task: str) -> None:
    about = find(result, cell, "agent")
    length, episodes = about["trial_length"], about["episodes"]
    for entry in result["cells"]:
        if entry["cell"] != cell:
            continue
        summary = entry["mean_over_tasks"] if task == "mean" else entry["tasks"][task]
        shown = look(entry["policy"])
        curve = {k: np.array([x[k] for x in summary["curve"]]) for k in ("value", "low", "high")}
        steps = (np.arange(len(curve["value"])) + 0.5) * length / len(curve["value"])
        ax.plot(
            steps,
            curve["value"],
            linestyle=shown.line,
            color=shown.colour,
            label=shown.label,
            linewidth=1.4,
        )
        ax.fill_between(
            steps, curve["low"], curve["high"], color=shown.colour, alpha=0.18, linewidth=0
        )
    for k in range(1, episodes):
        ax.axvline(k * length / episodes, color="0.85", linewidth=0.8, zorder=0)
    trained = min(result["trained_episodes"], episodes)
    ax.axvspan(trained * length / episodes, length, color="0.95", zorder=-1)
    ax.set_title(f"{cell.split('/')[0]}: {task}", fontsize="medium")
    ax.set_xlim(0, length)
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
