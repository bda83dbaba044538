"""docs/results.md, docs/results-log.md and their pictures, made of the files in results/runs alone.

Train and evaluate the runs (hours; goes on where it was), copy what they left into
results/runs, write the page:

    for name in random-projection-v0{-search,,-entropy,-long} random-projection-dynamics-v0
    do
        metaenvs experiment results/experiments/$name.toml --out runs/$name
        python -m results.page collect $name runs/$name
    done
    python -m results.page report

Runs that were stopped: collect random-projection-v0-stopped FOLDER --stopped.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents import config as configs
from agents.report import figures, published
from agents.report.runs import Agent
from agents.report.tables import markdown, raw_text
from agents.runs import summary
from metaenvs import evaluation, statistics
from metaenvs.suites import SUITES
from results.data import (
    DOCS,
    ENTROPY,
    LONG,
    MAIN,
    SEARCH,
    SLOPE_PART,
    collect,
    first_episodes,
    listed,
    load,
    mean_by_task,
    means_by_seed,
    own_trials,
    slope,
    speed,
)
from results.memories import memories_part
from results.tables import (
    SPLITS,
    beside_paper,
    difference,
    first_by_split,
    learned_table,
    returns_table,
    scores_by_task,
    training_table,
)
from results.variants import dynamics_part, entropy_part, long_part, stopped_part

WIPED = evaluation.WIPED_EVERY_STEP.name
"""A control: what S5 does without a memory."""
PAPER = ("S5", "LSTM", "MLP")
"""Memories that the paper has."""
FIRST_SEEDS = 3
"""Of every memory; more were added when these had been evaluated."""


def setting_part(agents: dict[str, Agent]) -> str:
    listing = listed(MAIN)
    config = listing.runs["s5"]
    seeds = ", ".join(f"{len(agent.runs)} of {agent.name}" for agent in agents.values())
    ppo, model = config.ppo, config.model
    return f"""`RandomProjection-v0`: {config.steps:,} steps of PPO for each run (a fortieth of the
paper's frames), {config.envs} environments, {model.layers} layers, {model.params:,} parameters in
every memory (S5: width {model.width}), normalised observations, learning rate
{ppo.learning_rate:g}, discount {ppo.gamma:g}, GAE parameter {ppo.gae_lambda:g}, entropy bonus
{ppo.entropy_coef:g}. The list of runs is `results/experiments/{MAIN}.toml`; how the settings were
found is in the [logbook](results-log.md). Seeds: {seeds}. Each run had one core of a CPU.

Everything here is made by `python -m results.page report` of the files in
`results/runs`: every update's metrics and every evaluation (protocol `{listing.protocol}`,
[Evaluation](evaluation.md)). Intervals are 95 % bootstrap intervals over trials and seeds; with so
few seeds they are too narrow."""


def frames_part(agents: dict[str, Agent]) -> str:
    steps = listed(MAIN).runs["s5"].steps
    ours = {agent.name: mean_by_task(agent) for agent in agents.values()}
    theirs = published.CURVES[steps]
    tasks = [task for task in ours["S5"] if task != "mean"]
    end = np.mean([published.RETURNS[task]["S5"] for task in tasks])
    return f"""## Frame for frame

Return of a 1000-step episode on the training tasks after {steps:,} frames: ours over the last
{100 * summary.FINAL_PART:.0f} % of updates, mean over seeds; the paper's read from its learning
curves. The paper's S5 has 10 layers of width 256 and learns by Muesli.

{training_table(ours, theirs)}

Our S5's mean by seed: {means_by_seed(agents["s5"])}.
{beside_paper("S5", ours["S5"], theirs["S5"])}
Where the paper's curve ends, after 2e9 frames, it is at {end:.0f}: ours is at
{100 * ours["S5"]["mean"] / end:.0f} % of that.

![Learning curves](images/results_learning.png)"""


def returns_part(agents: dict[str, Agent]) -> str:
    parts = []
    for split in SPLITS:
        cell = f"{split}/fresh"
        s5 = agents["s5"]
        columns = {a.name: first_episodes(a.returns(cell)) for a in agents.values()}
        columns[f"S5, {WIPED}"] = first_episodes(s5.returns(cell, WIPED))
        columns["random"] = own_trials("random", first_episodes(s5.returns(cell, "random")))
        theirs = {
            f"{m}, paper at 2e9": [published.RETURNS[task][m] for task in s5.tasks(cell)]
            for m in PAPER
        }
        parts.append(returns_table(split.replace("_", " "), s5.tasks(cell), columns, theirs))
    return f"""## Training tasks and held-out tasks

Return of a trial's first episode behind projections not seen in training; final checkpoints, zero
shot.

{(chr(10) * 2).join(parts)}

{first_seeds_part(agents)}"""


def first_seeds_part(agents: dict[str, Agent]) -> str:
    """The means of returns without the seeds that were added."""
    rows = []
    for agent in agents.values():
        if len(agent.runs) > FIRST_SEEDS:
            runs = [x[:FIRST_SEEDS] for x in first_by_split(agent)]
            rows.append([agent.name, *(raw_text(statistics.interval(x)) for x in runs)])
    return f"""More than {FIRST_SEEDS} seeds of S5 and MLP were trained because their intervals on
held-out tasks touched with the first {FIRST_SEEDS}. A choice made on such a look favours intervals
that are apart. The means of the first {FIRST_SEEDS} alone:

{markdown(["", "train", "held out"], rows)}"""


def scores_part(agents: dict[str, Agent]) -> str:
    s5 = agents["s5"]
    rows = []
    for entry in s5.results[0]["cells"]:
        if entry["policy"] != "agent":
            continue
        # The first episode knows nothing of those that follow.
        last = entry["episodes"] if entry["condition"] == "more_episodes" else 1
        row = [entry["cell"].replace("_", " ") + (f", {last} episodes" if last > 1 else "")]
        for agent in agents.values():
            scores = agent.scores(entry["cell"])
            assert scores is not None
            row.append(statistics.interval(scores[..., :last].mean(-1)).shown())
        rows.append(row)
    controls = []
    for policy in dict.fromkeys(
        e["policy"] for e in s5.results[0]["cells"] if e["condition"] == "fresh"
    ):
        found = [
            own_trials(policy, first_episodes(s5.scores(f"{split}/fresh", policy)))
            for split in SPLITS
        ]
        controls.append([policy, *(statistics.interval(x).shown() for x in found)])
    by_name = {agent.name: agent for agent in agents.values()}
    return f"""## Scores, and what lies outside the training distribution

Normalised (0: random actions, 1: an expert of the one task without projection), mean over tasks,
first episode.

{markdown(["cell", *(a.name for a in agents.values())], rows)}

Held-out tasks whose score's interval lies above 0.2, zero-shot, by memory (the more memories and
tasks are looked at, the likelier one such interval by chance):

{learned_table(by_name)}

S5 beside its controls, score in the cells `fresh`, first episode (the last two differ from the
agent from the second on: see the picture):

{markdown(["policy", "train", "held out"], controls)}

![Adaptation curves](images/results_adaptation.png)

S5's first seed on the training tasks:

![S5 and its controls](images/results_controls.png)"""


def improvement_part(agents: dict[str, Agent]) -> str:
    s5 = first_by_split(agents["s5"])
    others = {agent.name: first_by_split(agent) for name, agent in agents.items() if name != "s5"}
    rows = [
        [
            f"S5 > {name}",
            *(
                statistics.probability_of_improvement(*p).shown()
                for p in zip(s5, other, strict=True)
            ),
        ]
        for name, other in others.items()
    ]
    others[f"S5, {WIPED}"] = first_by_split(agents["s5"], WIPED)
    differences = [
        [f"S5 - {name}", *(raw_text(difference(*p)) for p in zip(s5, other, strict=True))]
        for name, other in others.items()
    ]
    return f"""## Probability of improvement

How likely a trial of S5 pays more than one of the other memory on the same task, mean over tasks;
0.5: no difference.

{markdown(["", "train", "held out"], rows)}

Every agent meets the same trials. How much more of return S5 has in them, mean over seeds and
tasks, with an interval over trials alone (seeds are not resampled; this table was added when the
intervals of the first {FIRST_SEEDS} seeds of S5 and MLP on held-out tasks were seen to touch):

{markdown(["", "train", "held out"], differences)}"""


def failures_part(agents: dict[str, Agent]) -> str:
    failed = []
    for split in SPLITS:
        for task, found in scores_by_task(agents["s5"], f"{split}/fresh").items():
            if found.low < 0.05:
                failed.append([task, split.replace("_", " "), found.shown()])
    return f"""## What is not learned at this budget

Tasks in which the interval of S5's score reaches below 0.05:

{markdown(["task", "split", "score"], failed)}"""


def speed_part(agents: dict[str, Agent]) -> str:
    rows = []
    for agent in agents.values():
        # Later seeds may have been trained on another machine.
        rate, minutes = speed(agent.runs[0])
        slopes = [slope(run) for run in agent.runs]
        rows.append(
            [
                agent.name,
                f"{rate:,.0f}",
                f"{minutes:.0f}",
                f"{rate * 86_400 / 1e9:.1f}e9",
                ", ".join(f"{x:+.1f}" for x in slopes),
            ]
        )
    return f"""## Time, and what more of it would give

Median over updates of the seeds 0, on one core of one CPU, beside other work on the other; minutes
of a run at that rate; steps that a day of one core would make; and the slope of the training
return, mean over tasks, over the last {100 * SLOPE_PART:.0f} % of each run (per 10 million steps,
by seed; the learning rate falls to zero there).

{markdown(["", "steps/s", "minutes", "steps in a day", "slope"], rows)}

A day of one core is thus more frames than the paper's 2e9, for an agent of this size. What returns
they would give is not known: the slope at the end is that of a run whose learning rate ends.
Nothing was measured on a GPU, so there is no figure for one."""


def search_part() -> str:
    agents = load(SEARCH)
    plain = next(iter(listed(SEARCH).runs.values()))
    rows = []
    for name, agent in agents.items():
        found = configs.differences(plain, listed(SEARCH).runs[name])
        changed = ", ".join(f"{k} {own}" for k, (_, own) in found.items())
        by_task = mean_by_task(agent)
        spread = max(x["approx_kl"] for run in agent.runs for x in run.metrics)
        rows.append(
            [changed or "as listed", *(f"{x:.0f}" for x in by_task.values()), f"{spread:.2f}"]
        )
    rows.sort(key=lambda row: -float(row[-2]))
    steps = listed(SEARCH).runs[next(iter(agents))].steps
    tasks = list(mean_by_task(next(iter(agents.values()))))
    part = f"{100 * summary.FINAL_PART:.0f} %"
    return f"""## How the settings were found

On the training tasks alone: one seed of S5 and {steps:,} steps for each setting, training return
over the last {part} of updates, best first; in the last column the largest approximate KL of an
update. The first run of `results/experiments/{SEARCH}.toml` has the learning rate
{plain.ppo.learning_rate:g}; the others differ from it as listed. One seed each: differences of
less than about 20 in the mean say little.

{markdown(["setting", *tasks, "KL"], rows)}

Positions and angles are about 1, velocities reach tens (finger_spin pays from 15 rad/s on). Without
normalised observations reacher_easy is hardly learned, and single updates go far: see the last
column. Rewards divided by the spread of their sums, or gradients cut after 100 or 250 steps, did
not help."""


def paper_part() -> str:
    suite = SUITES[published.SUITE]
    frames = [
        [f"{n:.0e}".replace("e+0", "e"), *(f"{np.mean(x):.0f}" for x in rows.values())]
        for n, rows in published.CURVES.items()
    ]
    return f"""## The paper's

[Lu et al. 2023](https://arxiv.org/abs/2303.03982): Muesli, 64 TPUv3, three seeds; S5 of 10 layers
of width 256, LSTM 512; read from its plots (± about 3). Mean return over the training tasks on the
way to 2e9 frames:

{markdown(["frames", *PAPER], frames)}

The paper's means on this page are means over tasks of what was read, {means_of(suite.train)} on
the training tasks and {means_of(suite.held_out)} on the held-out tasks (S5, LSTM, MLP). The
smoothed mean curves that the paper draws end at 810, 661, 233 and 505, 381, 204."""


def means_of(tasks: Sequence[str]) -> str:
    """The paper's mean returns at its end, by sequence model."""
    return ", ".join(f"{np.mean([published.RETURNS[t][m] for t in tasks]):.0f}" for m in PAPER)


def pictures(agents: dict[str, Agent]) -> Iterator[tuple[str, Any]]:
    shown = list(agents.values())
    yield "learning", lambda: figures.learning(shown)
    yield "adaptation", lambda: figures.curves(shown)
    for picture, listing in {"entropy": ENTROPY, "long": LONG}.items():
        more = [Agent(f"S5, {name}", x.runs) for name, x in load(listing).items()]
        yield picture, lambda more=more: figures.learning([agents["s5"], *more])
    first = Agent("S5", agents["s5"].runs[:1])
    yield "controls", lambda: figures.controls(first, 0, "train/fresh")


def pages(agents: dict[str, Agent]) -> dict[str, str]:
    """The texts of docs/results.md and docs/results-log.md, by their names."""
    log = """What was tried besides the runs of the [results](results.md), and what came of it:
other settings, longer runs, runs that were stopped. Made, as those, by
`python -m results.page report`."""
    parts = {
        "results.md": [
            "# Results by task and condition",
            setting_part(agents),
            frames_part(agents),
            returns_part(agents),
            scores_part(agents),
            improvement_part(agents),
            memories_part(),
            failures_part(agents),
            dynamics_part(agents),
            speed_part(agents),
            paper_part(),
        ],
        "results-log.md": [
            "# Logbook",
            log,
            search_part(),
            entropy_part(agents),
            long_part(agents),
            stopped_part(agents),
        ],
    }
    return {name: "\n\n".join(texts) + "\n" for name, texts in parts.items()}


def report() -> None:
    agents = load(MAIN)
    for name, make in pictures(agents):
        figure = figures.draw(make)
        assert figure is not None
        path = DOCS / "images" / f"results_{name}.png"
        figure.savefig(path, dpi=110, metadata={"Software": None})  # bytes of the figures alone
    for file, written in pages(agents).items():
        (DOCS / file).write_text(written)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    actions = parser.add_subparsers(dest="action", required=True)
    collecting = actions.add_parser("collect")
    collecting.add_argument("experiment", help="its file in results/experiments")
    collecting.add_argument("root", type=Path, help="folder of its runs")
    collecting.add_argument("--stopped", action="store_true", help="runs that have not ended, too")
    actions.add_parser("report")
    arguments = parser.parse_args()
    if arguments.action == "collect":
        collect(arguments.experiment, arguments.root, arguments.stopped)
    else:
        report()


if __name__ == "__main__":
    main()
