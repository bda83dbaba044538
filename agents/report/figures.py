"""The figures of a report: each a Matplotlib figure, shown inline as SVG, saved as PNG and PDF."""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from agents.report import published, tables
from agents.report.runs import Agent
from agents.runs.summary import mean_return
from metaenvs import evaluation, statistics
from metaenvs.evaluation.looks import look

# Okabe-Ito: distinguishable with every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_INK = "#262626"
"""Of text and axes; the page's own text colour in its place where the figure is inline."""
_FONT = 9.0
_WIDTH = 9.3
"""Of a full-width figure, in inches."""
_STYLE: dict[Any, Any] = {
    "font.size": _FONT,
    "axes.titlesize": _FONT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "legend.frameon": False,
    "svg.fonttype": "none",
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
    ),
}


def colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def draw(make: Callable[[], Figure | None]) -> Figure | None:
    """`make()` in the style of all figures."""
    with mpl.rc_context(_STYLE):
        figure = make()
        if figure is not None:
            FigureCanvasAgg(figure)
        return figure


def as_svg(figure: Figure, name: str) -> str:
    """The figure as an element of a page: no identifier, name or address from outside."""
    out = io.StringIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    # Matplotlib numbers some ids by their kind alone; on one page they would collide.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    # The page sets the size; all figures have letters of one size if their widths are in scale.
    share = f'style="--share: {figure.get_figwidth() / _WIDTH:.3f}"'
    text = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', rf"\1 {share}", text, count=1)
    text = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", text, count=1)
    return text.replace(_INK, "currentColor")


def _grid(panels: int, columns: int, width: float, height: float) -> tuple[Figure, list]:
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(width * columns, height * rows + 0.5), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey="row").flat)
    for ax in axes[panels:]:
        ax.set_axis_off()
    return figure, axes[:panels]


def _legend(figure: Figure, ax) -> None:
    handles, labels = ax.get_legend_handles_labels()
    columns = max(1, min(len(labels), 100 // max(len(x) + 6 for x in labels)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def curves(agents: Sequence[Agent]) -> Figure:
    """Reward per step against time inside the trial, mean over tasks, in every cell."""
    shown = tables.cells(agents[0])
    figure, axes = _grid(len(shown), 3, 3.1, 2.2)
    for ax, cell in zip(axes, shown, strict=True):
        for i, agent in enumerate(agents):
            for k, result in enumerate(agent.results):
                entry = evaluation.find(result, cell, "agent")
                label = agent.label if k == 0 else None
                _curve(ax, entry, entry["mean_over_tasks"], colour(i), "-", label)
        _trial_axes(ax, agents[0], cell, agents[0].tasks(cell))
        ax.set_title(cell.replace("_", " "), loc="left")
    for ax in axes[::3]:
        ax.set_ylabel("reward per step")
    _legend(figure, axes[0])
    return figure


def controls(agent: Agent, index: int, cell: str) -> Figure:
    """Every task of a cell, the agent beside its controls."""
    tasks = [*agent.tasks(cell), "mean"]
    figure, axes = _grid(len(tasks), 4, 2.4, 1.9)
    for ax, task in zip(axes, tasks, strict=True):
        for policy in tables.policies(agent, cell):
            for k, result in enumerate(agent.results):
                entry = evaluation.find(result, cell, policy)
                summary = entry["mean_over_tasks"] if task == "mean" else entry["tasks"][task]
                drawn = look(policy)
                shade = colour(index) if policy == "agent" else drawn.colour
                label = drawn.label if k == 0 else None
                _curve(ax, entry, summary, shade, drawn.line, label)
        shown = agent.tasks(cell) if task == "mean" else (task,)
        _trial_axes(ax, agent, cell, shown, random="random" not in tables.policies(agent, cell))
        ax.set_title(task, loc="left", weight="bold" if task == "mean" else "normal")
    for ax in axes[::4]:
        ax.set_ylabel("reward per step")
    _legend(figure, axes[0])
    return figure


def _curve(ax, entry, summary, shade, line, label) -> None:
    y = {k: np.array([x[k] for x in summary["curve"]]) for k in ("value", "low", "high")}
    x = (np.arange(len(y["value"])) + 0.5) * entry["trial_length"] / len(y["value"])
    ax.plot(x, y["value"], linestyle=line, color=shade, label=label, linewidth=1.2)
    ax.fill_between(x, y["low"], y["high"], color=shade, alpha=0.15, linewidth=0)


def _trial_axes(ax, agent: Agent, cell: str, tasks: Sequence[str], random: bool = True) -> None:
    """Ends of episodes, and what random actions and an expert are paid per step, where known."""
    entry = evaluation.find(agent.results[0], cell, "agent")
    length, episodes = entry["trial_length"], entry["episodes"]
    for k in range(1, episodes):
        ax.axvline(k * length / episodes, color="#808080", alpha=0.35, linewidth=0.6, zorder=0)
    anchors = agent.results[0]["anchors"]
    if all(task in anchors for task in tasks):
        for which, line in (("expert", (0, (1, 1))), ("random", ":"))[: 2 if random else 1]:
            paid = np.mean([anchors[task][which]["value"] for task in tasks]) * episodes / length
            ax.axhline(paid, color="#808080", linestyle=line, linewidth=1.0, label=which, zorder=0)
    ax.set_xlim(0, length)
    ax.set_ylim(bottom=0)
    ax.set_xticks([0, length / 2, length], ["0", f"{length // 2:,}", f"{length:,}"])


def bars(agents: Sequence[Agent], cells: Iterable[str]) -> Figure:
    """Raw return of every task, beside the paper's values where they are of the same suite."""
    cells = list(cells)
    own = agents[0].results[0]["own_episodes"]
    theirs = agents[0].results[0]["suite"] == published.SUITE
    figure = Figure(figsize=(_WIDTH, 2.6 * len(cells) + 0.4), layout="constrained")
    axes = figure.subplots(len(cells), 1, squeeze=False)[:, 0]
    for ax, cell in zip(axes, cells, strict=True):
        tasks = agents[0].tasks(cell)
        width = 0.8 / len(agents)
        for i, agent in enumerate(agents):
            returns = agent.returns(cell)[..., :own].mean(-1)
            found = [statistics.interval(returns[:, [k]]) for k in range(len(tasks))]
            values = np.array([x.value for x in found])
            error = [values - [x.low for x in found], [x.high for x in found] - values]
            x = np.arange(len(tasks)) + (i + 0.5) * width - 0.4
            ax.bar(x, values, width * 0.92, color=colour(i), label=agent.label)
            ax.errorbar(x, values, np.maximum(error, 0), fmt="none", ecolor=_INK, elinewidth=0.8)
        if theirs:
            for memory, marker in (("S5", "D"), ("LSTM", "s"), ("MLP", "v")):
                y = [published.RETURNS[task][memory] for task in tasks]
                ax.plot(
                    np.arange(len(tasks)),
                    y,
                    marker,
                    markersize=5,
                    markerfacecolor="none",
                    markeredgecolor=_INK,
                    label=f"{memory}, {published.PAPER}",
                )
        ax.set_xticks(np.arange(len(tasks)), [t.replace("_", "\n", 1) for t in tasks])
        ax.tick_params(axis="x", length=0)
        ax.set_ylabel("return")
        ax.set_title(cell.replace("_", " "), loc="left")
    _legend(figure, axes[0])
    return figure


def intervals(agents: Sequence[Agent], cells: Sequence[str]) -> Figure | None:
    """IQM and mean of the score in some cells; None where scores are missing."""
    own = agents[0].results[0]["own_episodes"]
    shown = [cell for cell in cells if agents[0].scores(cell) is not None]
    if not shown:
        return None
    height = 0.24 * len(agents) * len(shown) + 1.0
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.subplots(1, len(tables.AGGREGATES), sharey=True)
    titles = ("mean", "interquartile mean", "20th percentile")
    for ax, statistic, title in zip(axes, tables.AGGREGATES, titles, strict=True):
        for row, cell in enumerate(shown):
            for i, agent in enumerate(agents):
                scores = agent.scores(cell)
                assert scores is not None
                as_trained = scores[..., :own].mean(-1)
                if not tables.shown(statistic, as_trained):
                    continue
                found = statistics.interval(as_trained, statistic)
                y = -row - (i + 0.5) / len(agents) * 0.7
                label = agent.label if row == 0 else None
                ax.plot([found.low, found.high], [y, y], color=colour(i), linewidth=3, alpha=0.45)
                ax.plot([found.value], [y], "o", color=colour(i), markersize=4, label=label)
        ax.axvline(0, color="#808080", linewidth=0.6)
        ax.set_title(title, loc="left")
        ax.set_xlabel("score")
    axes[0].set_yticks(-np.arange(len(shown)) - 0.35, [x.replace("_", " ") for x in shown])
    axes[0].tick_params(axis="y", length=0)
    _legend(figure, axes[0])
    return figure


def improvements(agents: Sequence[Agent], cells: Sequence[str]) -> Figure:
    """Probability that a trial of one agent pays more than one of another."""
    own = agents[0].results[0]["own_episodes"]
    pairs = [(a, b) for i, a in enumerate(agents) for b in agents[i + 1 :]]
    figure = Figure(figsize=(_WIDTH, 0.26 * len(pairs) + 1.0), layout="constrained")
    axes = figure.subplots(1, len(cells), sharey=True, squeeze=False)[0]
    for ax, cell in zip(axes, cells, strict=True):
        for row, (a, b) in enumerate(pairs):
            x, y = (agent.returns(cell)[..., :own].mean(-1) for agent in (a, b))
            found = statistics.probability_of_improvement(x, y)
            shade = colour(agents.index(a))
            ax.plot([found.low, found.high], [-row] * 2, color=shade, linewidth=3, alpha=0.45)
            ax.plot([found.value], [-row], "o", color=shade, markersize=4)
        ax.axvline(0.5, color="#808080", linewidth=0.6)
        ax.set_xlim(0, 1)
        ax.set_title(cell.replace("_", " "), loc="left")
        ax.set_xlabel("P(first pays more)")
    axes[0].set_yticks(-np.arange(len(pairs)), [f"{a.label} > {b.label}" for a, b in pairs])
    axes[0].set_ylim(-len(pairs) + 0.5, 0.5)
    axes[0].tick_params(axis="y", length=0)
    return figure


def learning(agents: Sequence[Agent]) -> Figure | None:
    """Return of each training task against steps; None if no run has metrics."""
    tasks = list(
        dict.fromkeys(t for a in agents for r in a.runs for x in r.metrics for t in x["return"])
    )
    if not tasks:
        return None
    figure, axes = _grid(len(tasks) + 1, 4, 2.4, 1.9)
    for ax, task in zip(axes, [*tasks, "mean"], strict=True):
        for i, agent in enumerate(agents):
            for k, run in enumerate(agent.runs):
                steps, values = _learning_curve(run.metrics, task)
                label = agent.label if k == 0 else None
                ax.plot(steps, values, color=colour(i), linewidth=1.0, label=label)
        ax.set_title(task, loc="left", weight="bold" if task == "mean" else "normal")
        ax.set_ylim(bottom=0)
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.xaxis.set_major_locator(MaxNLocator(4))
    for ax in axes[::4]:
        ax.set_ylabel("return")
    _legend(figure, axes[0])
    return figure


def _learning_curve(metrics: Sequence[dict], task: str, points: int = 100):
    """Means over as many stretches of the training as there are `points`."""
    lines = []
    for line in metrics:
        value = mean_return(line) if task == "mean" else line["return"].get(task)
        if value is not None and np.isfinite(value):
            lines.append((line["steps"], value))
    if not lines:
        return [], []
    parts = np.array_split(np.array(lines), min(points, len(lines)))
    return tuple(np.array([part.mean(0) for part in parts]).T)
