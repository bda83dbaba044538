"""What an evaluation found, in a line for each split and a table by task.

Every policy meets the same trials, so that differences are of pairs: the interval of a
difference is over what differs between two policies in one trial.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from agents.report import tables
from agents.report.runs import Agent
from agents.report.tables import Table, raw_digits
from metaenvs import evaluation, statistics
from metaenvs.statistics import Interval

_WIPED = evaluation.WIPED_EVERY_STEP.name
_RANDOM = evaluation.RANDOM.name


@dataclasses.dataclass(frozen=True)
class Finding:
    """Differences of return `[runs, tasks, trials]`; None where a control was not run.

    Attributes:
        memory_first, memory_last: the agent's less that with its memory emptied at every
            step, in the trial's first and last episode.
        adaptation: the last episode's less the first's.
        above_random: the agent's less that of random actions, over as many episodes as the
            suite's own trials have.
    """

    memory_first: np.ndarray | None
    memory_last: np.ndarray | None
    adaptation: np.ndarray
    above_random: np.ndarray | None


def find(agent: Agent, cell: str) -> Finding:
    """What the trials of a cell say of an agent."""
    returns, own = agent.returns(cell), agent.results[0]["own_episodes"]
    known = tables.policies(agent, cell)
    wiped = agent.returns(cell, _WIPED) if _WIPED in known else None
    random = agent.returns(cell, _RANDOM) if _RANDOM in known else None
    return Finding(
        memory_first=None if wiped is None else (returns - wiped)[..., 0],
        memory_last=None if wiped is None else (returns - wiped)[..., -1],
        adaptation=returns[..., -1] - returns[..., 0],
        above_random=None if random is None else (returns - random)[..., :own].mean(-1),
    )


def line(agent: Agent, cell: str) -> str:
    """One sentence on a cell: memory, adaptation, and whether it beats random actions."""
    found = find(agent, cell)
    parts = []
    if found.memory_first is not None and found.memory_last is not None:
        first, last = (
            statistics.interval(found.memory_first),
            statistics.interval(found.memory_last),
        )
        parts.append(
            f"{_said(first, 'memory helps', 'memory harms', 'memory is not shown to help')} "
            f"(with it {_signed(first)} in the first episode, {_signed(last)} in the last)"
        )
    gain = statistics.interval(found.adaptation)
    parts.append(
        f"{_said(gain, 'it improves', 'it gets worse', 'no change is shown')} from the first "
        f"episode to the last ({_signed(gain)})"
    )
    if found.above_random is not None:
        above = statistics.interval(found.above_random)
        tasks = agent.tasks(cell)
        beaten = [
            statistics.interval(found.above_random[:, [i]]).low > 0 for i in range(len(tasks))
        ]
        missed = [task for task, yes in zip(tasks, beaten, strict=True) if not yes]
        parts.append(
            f"{_said(above, 'above', 'below', 'not shown to be above')} random actions "
            f"({_signed(above)}), task by task in {sum(beaten)} of {len(tasks)}"
            + (f" (not shown in {', '.join(missed)})" if missed else "")
        )
    return f"{cell.replace('_', ' ')}: {'; '.join(parts)}."


def by_task(agents: Sequence[Agent], cell: str) -> Table:
    """All differences by task, an agent below the other."""
    header = (
        "agent",
        "task",
        "memory, first episode",
        "memory, last episode",
        "last less first episode",
        "above random",
    )
    rows = []
    for agent in agents:
        found = dataclasses.astuple(find(agent, cell))
        tasks = agent.tasks(cell)
        for i, task in enumerate([*tasks, "mean"]):
            shown = slice(None) if task == "mean" else [i]
            row = ["-" if x is None else _signed(statistics.interval(x[:, shown])) for x in found]
            rows.append((agent.label, task, *row))
    return Table(f"findings_{cell.replace('/', '_')}", header, tuple(rows), labels=2)


def _said(found: Interval, above: str, below: str, neither: str) -> str:
    return above if found.low > 0 else below if found.high < 0 else neither


def _signed(found: Interval) -> str:
    return found.shown(raw_digits(found), sign="+")
