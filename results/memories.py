"""The section of docs/results.md about sequence models by themselves, in the recipe that adapts."""

from typing import Any

import numpy as np

from agents.report.runs import Agent, Run
from agents.report.tables import markdown, raw_text
from agents.runs import summary
from metaenvs import statistics
from results.data import MEMORIES, listed, load, means_by_seed, speed, until


def memories_part() -> str:
    agents = load(MEMORIES)
    config = next(iter(listed(MEMORIES).runs.values()))
    final = {name: returns(agent) for name, agent in agents.items()}
    tasks = agents["s5"].runs[0].metrics[-1]["return"]
    rows = [[task, *(_shown(x[:, [i]]) for x in final.values())] for i, task in enumerate(tasks)]
    rows.append(["**mean**", *map(_shown, final.values())])
    better = [
        [f"S5 > {agents[name].name}", statistics.probability_of_improvement(final["s5"], x).shown()]
        for name, x in final.items()
        if name != "s5"
    ]
    columns = ["", "first episode", "second", "by seed", "reconstruction"]
    times = ["", "steps/s", "minutes", "at equal time"]
    return f"""## Sequence models by themselves, in the recipe that adapts

The preset `in-context` ([An agent that adapts](adaptation.md)) without correlations and models of
the dynamics, which are memories themselves: what a sequence model alone makes of a trial. Whole
networks of about 165,000 parameters, trials of two episodes, {config.steps:,} frames
({config.steps // config.hold:,} decisions) each (`results/experiments/{MEMORIES}.toml`).
Returns in training over the last {100 * summary.FINAL_PART:.0f} % of the updates, both episodes.
Each trial has a projection of its own, so all are of projections not seen before. Intervals over
seeds and updates:

{markdown(["", *(agent.label for agent in agents.values())], rows)}

How likely an update of S5 pays more than one of the other on the same task, mean over tasks; 0.5:
no difference:

{markdown(["", "probability"], better)}

Mean over tasks, by episode of the trial and by seed; and the squared error with which the memory's
features reconstruct what is hidden from the agent: the task, its true observation, the action's map
and the time:

{markdown(columns, [_learned(agent) for agent in agents.values()])}

Steps per second (median over updates of the first seed, one core of a CPU, beside other work on the
other) and minutes of a run at that rate; and the return after as many minutes as the fastest took
in all, when the others' learning rates have not fallen yet:

{markdown(times, _times(agents))}"""


def returns(agent: Agent, episode: int | None = None) -> np.ndarray:
    """`[seeds, tasks, updates]` at the end of training: of one episode of a trial, or of all."""

    def of(line: dict[str, Any]) -> list[float]:
        if episode is None:
            return list(line["return"].values())
        return [value[episode] for value in line["return_by_episode"].values()]

    def of_run(run: Run) -> np.ndarray:
        return np.array([of(line) for line in summary.last(run.metrics)], float).T

    return np.stack([of_run(run) for run in agent.runs])


def _shown(found: np.ndarray) -> str:
    return raw_text(statistics.interval(found))


def _learned(agent: Agent) -> list[str]:
    episodes = [_shown(returns(agent, k)) for k in (0, 1)]
    last = [line for run in agent.runs for line in summary.last(run.metrics)]
    return [
        agent.name,
        *episodes,
        means_by_seed(agent),
        f"{np.mean([line['reconstruction_error'] for line in last]):.2f}",
    ]


def _times(agents: dict[str, Agent]) -> list[list[str]]:
    shortest = min(speed(agent.runs[0])[1] for agent in agents.values())
    rows = []
    for agent in agents.values():
        rate, minutes = speed(agent.runs[0])
        then = _shown(returns(until(agent, round(rate * shortest * 60))))
        rows.append([agent.name, f"{rate:,.0f}", f"{minutes:.1f}", then])
    return rows
