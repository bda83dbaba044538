"""Tables of docs/results.md that more than one of its sections has."""

from collections.abc import Mapping, Sequence

import numpy as np

from agents.report.runs import Agent
from agents.report.tables import markdown, raw_text
from metaenvs import statistics
from results.data import first_episodes

SPLITS = ("train", "held_out")


def training_table(ours: dict[str, dict[str, float]], theirs: Mapping[str, Sequence[float]]) -> str:
    """`mean_by_task` of our agents, beside the paper's returns in the same order of tasks."""
    rows = []
    for i, task in enumerate(next(iter(ours.values()))):
        paper = [np.mean(x) if task == "mean" else x[i] for x in theirs.values()]
        name = f"**{task}**" if task == "mean" else task
        rows.append(
            [name, *(f"{x[task]:.0f}" for x in ours.values()), *(f"{x:.0f}" for x in paper)]
        )
    return markdown(["", *ours, *(f"{m}, paper" for m in theirs)], rows)


def beside_paper(name: str, ours: dict[str, float], theirs: Sequence[float]) -> str:
    """Where `mean_by_task` of an agent is ahead of the paper's returns, and where behind."""
    tasks = [task for task in ours if task != "mean"]
    behind = [task for task, x in zip(tasks, theirs, strict=True) if ours[task] <= x]
    return (
        f"{name}'s mean is {ours['mean']:.0f}, the paper's at this number of frames "
        f"{np.mean(theirs):.0f}. "
        + (f"Behind it in {', '.join(behind)}." if behind else "Ahead in every task.")
    )


def returns_table(
    title: str,
    tasks: tuple[str, ...],
    columns: dict[str, np.ndarray],
    theirs: dict[str, list[float]],
) -> str:
    """Returns `[runs, tasks, trials]` by task, and their mean, beside the paper's."""
    rows = [
        [
            task,
            *(raw_text(statistics.interval(x[:, [i]])) for x in columns.values()),
            *(f"{x[i]:.0f}" for x in theirs.values()),
        ]
        for i, task in enumerate(tasks)
    ]
    means = [raw_text(statistics.interval(x)) for x in columns.values()]
    rows.append(["**mean**", *means, *(f"{np.mean(x):.0f}" for x in theirs.values())])
    return markdown([title, *columns, *theirs], rows)


def scores_by_task(agent: Agent, cell: str) -> dict[str, statistics.Interval]:
    scores = first_episodes(agent.scores(cell))
    return {task: statistics.interval(scores[:, [i]]) for i, task in enumerate(agent.tasks(cell))}


def clearly_learned(agent: Agent) -> str:
    """Held-out tasks in which the interval of the agent's score lies above 0.2."""
    by_task = scores_by_task(agent, "held_out/fresh")
    return "; ".join(f"{task} {x.shown()}" for task, x in by_task.items() if x.low > 0.2) or "none"


def learned_table(agents: dict[str, Agent]) -> str:
    """`clearly_learned` of each agent, by its label."""
    rows = [[label, clearly_learned(agent)] for label, agent in agents.items()]
    return markdown(["", "task and score"], rows)


def first_by_split(agent: Agent, policy: str = "agent") -> list[np.ndarray]:
    """Returns of first episodes in the cells `fresh`, `[runs, tasks, trials]` for each split."""
    return [first_episodes(agent.returns(f"{split}/fresh", policy)) for split in SPLITS]


def difference(x: np.ndarray, y: np.ndarray) -> statistics.Interval:
    """Mean over tasks of X - Y, both `[runs, tasks, trials]` of the same trials.

    The interval is over trials: runs are averaged first.
    """
    return statistics.interval(x.mean(0, keepdims=True) - y.mean(0, keepdims=True))
