"""The tables of a report: the same rows as HTML, CSV and LaTeX."""

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence

import numpy as np

from agents.report import published
from agents.report.runs import Agent
from metaenvs import evaluation, statistics
from metaenvs.statistics import Interval


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text under a header; the first `labels` columns name the row."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1

    def csv(self) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.header, *self.rows])
        return out.getvalue()

    def latex(self) -> str:
        """A tabular in the style of the package booktabs."""
        columns = "l" * self.labels + "r" * (len(self.header) - self.labels)
        lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_row(self.header)]
        lines += [r"\midrule", *map(_latex_row, self.rows), r"\bottomrule", r"\end{tabular}"]
        return "\n".join(lines) + "\n"


_LATEX = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "-": "--", "±": r"$\pm$"}


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in cells) + r" \\"


def summary(agents: Sequence[Agent]) -> Table:
    """Every agent in every cell: returns and scores over tasks."""
    header = ("cell", "agent", "return", "score", "IQM", "20th percentile", "gain", "area")
    rows = []
    for cell in cells(agents[0]):
        for agent in agents:
            own = agent.results[0]["own_episodes"]
            raw = statistics.interval(agent.returns(cell)[..., :own].mean(-1))
            row = [cell, agent.label, raw_text(raw)]
            scores = agent.scores(cell)
            if scores is None:
                row += ["-"] * 5
            else:
                as_trained = scores[..., :own].mean(-1)
                row += [
                    statistics.interval(as_trained, f).shown() if shown(f, as_trained) else "-"
                    for f in AGGREGATES
                ]
                row.append(statistics.interval(scores[..., -1] - scores[..., 0]).shown())
                row.append(statistics.interval(scores.mean(-1)).shown())
            rows.append(tuple(row))
    return Table("summary", header, tuple(rows), labels=2)


AGGREGATES = tuple(statistics.AGGREGATES.values())


def shown(statistic: Callable, scores: np.ndarray) -> bool:
    """Whether a statistic of `scores [runs, tasks, trials]` is what its name says."""
    runs, tasks = scores.shape[:2]
    return statistic is not statistics.iqm or statistics.iqm_trims(runs * tasks)


def by_task(agents: Sequence[Agent], cell: str) -> Table:
    """Every task of a cell: all agents and their controls, and what was published."""
    suite = agents[0].results[0]["suite"]
    own = agents[0].results[0]["own_episodes"]
    tasks = agents[0].tasks(cell)
    rows = []
    for policy, last in _shown(policies(agents[0], cell)):
        # Random actions are the same for all: every agent meets the same trials.
        for agent in agents[:1] if policy == evaluation.RANDOM.name else agents:
            every = agent.returns(cell, policy)
            returns = every[..., -1] if last else every[..., :own].mean(-1)
            values = [*(returns[:, [i]] for i in range(len(tasks))), returns]
            name = "-" if policy == evaluation.RANDOM.name else agent.label
            texts = [raw_text(statistics.interval(value)) for value in values]
            rows.append((f"{policy}, last episode" if last else policy, name, *texts))
    if suite == published.SUITE:
        for memory in ("S5", "LSTM", "MLP"):
            paid = [published.RETURNS[task][memory] for task in tasks]
            texts = [f"{x:.0f}" for x in [*paid, np.mean(paid)]]
            rows.append((published.PAPER, memory, *texts))
    header = ("policy", "agent", *tasks, "mean")
    return Table(f"returns_{cell.replace('/', '_')}", header, tuple(rows), labels=2)


def _shown(policies: Sequence[str]) -> list[tuple[str, bool]]:
    """Policies, and whether their last episode is shown.

    Emptied or redrawn at every episode, an agent is itself in the first one: there the last
    is what says something, beside the agent's own.
    """
    later = [name for name in policies if name in LATER]
    first = [(name, False) for name in policies if name not in LATER]
    return first + ([("agent", True), *((name, True) for name in later)] if later else [])


LATER = (evaluation.WIPED_EVERY_EPISODE.name, evaluation.REDRAWN_EVERY_EPISODE.name)
"""Controls that differ from the agent from the second episode on."""


def cells(agent: Agent) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entry["cell"] for entry in agent.results[0]["cells"]))


def policies(agent: Agent, cell: str) -> tuple[str, ...]:
    """Names of what was run in a cell: the agent, then its controls."""
    return tuple(e["policy"] for e in agent.results[0]["cells"] if e["cell"] == cell)


def raw_text(value: Interval) -> str:
    """A raw return and its interval: with decimals where a task pays little."""
    return value.shown(raw_digits(value))


def raw_digits(value: Interval) -> int:
    """Decimals of a raw return."""
    return 0 if max(abs(value.low), abs(value.high)) >= 10 else 2


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [header, *rows]]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])
