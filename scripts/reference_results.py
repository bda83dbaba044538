"""docs/results.md and its pictures, made of the files in docs/results alone.

Train and evaluate the runs (hours; goes on where it was), copy what they left into
docs/results, write the page:

    for name in random-projection-v0-search random-projection-v0
    do
        metaenvs experiment docs/experiments/$name.toml --out runs/$name
        python scripts/reference_results.py collect $name runs/$name
    done
    python scripts/reference_results.py report
"""

import argparse
import functools
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agents import config as configs
from agents import experiment, summary
from agents.experiment import Experiment
from agents.report import figures, published
from agents.report.runs import Agent, Run
from agents.report.tables import markdown, raw_text, text
from metaenvs import evaluation, statistics

DOCS = Path(__file__).parents[1] / "docs"
DATA = DOCS / "results"
MAIN = "random-projection-v0"
SEARCH = "random-projection-v0-search"
FILES = ("metrics.jsonl", "evaluation.json")
SLOPE_PART = 0.2
"""Of a run, at its end: where the slope of its learning curve is measured."""
SPLITS = ("train", "held_out")
PAPER = ("S5", "LSTM", "MLP")
"""Memories that the paper has."""


@functools.cache
def listed(name: str) -> Experiment:
    return experiment.read(DOCS / "experiments" / f"{name}.toml")


def collect(name: str, root: Path) -> None:
    """Copy, compressed, what the runs of an experiment that have ended left below `root`."""
    for path, _ in listed(name).members(root):
        if not (path / "summary.json").exists():
            print(f"{path} has not ended: left out")
            continue
        for file in FILES:
            if (path / file).exists():
                copy = DATA / name / f"{path.parent.name}-{path.name}.{file}.xz"
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(lzma.compress((path / file).read_bytes()))
                print(f"wrote {copy}")


def load(name: str) -> dict[str, Agent]:
    """The experiment's runs of which there are files, their seeds together, by name."""
    agents = {}
    for run_name in listed(name).runs:
        runs = []
        for path in sorted((DATA / name).glob(f"{run_name}-seed*.metrics.jsonl.xz")):
            lines = lzma.decompress(path.read_bytes()).decode().splitlines()
            evaluated = path.with_name(path.name.replace("metrics.jsonl", "evaluation.json"))
            result = {}
            if evaluated.exists():
                result = json.loads(lzma.decompress(evaluated.read_bytes()))
                evaluation.validate(result, str(evaluated))
            runs.append(Run(path.name.split(".")[0], result, None, tuple(map(json.loads, lines))))
        if runs:
            agents[run_name] = Agent(run_name.upper(), tuple(runs))
    return agents


def final_returns(run: Run) -> dict[str, float]:
    """Return of each training task at the end of a run's training."""
    last = run.metrics[-max(round(summary.FINAL_PART * len(run.metrics)), 1) :]
    return {
        task: float(np.mean([x["return"][task] for x in last if x["return"][task] is not None]))
        for task in last[0]["return"]
    }


def mean_by_task(agent: Agent) -> dict[str, float]:
    """`final_returns`, mean over seeds, and the mean over tasks."""
    by_run = [final_returns(run) for run in agent.runs]
    by_task = {task: float(np.mean([x[task] for x in by_run])) for task in by_run[0]}
    return by_task | {"mean": float(np.mean(list(by_task.values())))}


def slope(run: Run) -> float:
    """Growth of the mean return over the last part of a run, per 10 million steps."""
    last = run.metrics[-round(SLOPE_PART * len(run.metrics)) :]
    points = [(x["steps"], summary.mean_return(x)) for x in last]
    steps, returns = np.array([p for p in points if p[1] is not None], float).T
    return float(np.polyfit(steps / 1e7, returns, 1)[0])


def first_episodes(values: np.ndarray | None) -> np.ndarray:
    """`[runs, tasks, trials]` of the episodes that the suite trains on: the first."""
    assert values is not None, "a task has no anchor"
    return np.asarray(values[..., 0])


def own_trials(policy: str, values: np.ndarray) -> np.ndarray:
    """Without repetitions: random actions are the same trials in every seed's evaluation."""
    return values[:1] if policy == "random" else values


def setting_part(agents: dict[str, Agent]) -> str:
    listing = listed(MAIN)
    config = listing.runs["s5"]
    seeds = ", ".join(f"{len(agent.runs)} of {agent.name}" for agent in agents.values())
    ppo, model = config.ppo, config.model
    return f"""`RandomProjection-v0`: {config.steps:,} steps of PPO for each run (a fortieth of the
paper's frames), {config.envs} environments, {model.layers} layers, {model.params:,} parameters in
every memory (S5: width {model.width}), normalised observations, learning rate
{ppo.learning_rate:g}, discount {ppo.gamma:g}, GAE parameter {ppo.gae_lambda:g}, entropy bonus
{ppo.entropy_coef:g}. The list of runs is `docs/experiments/{MAIN}.toml`; how the settings were
found is below. Seeds: {seeds}. Each run had one core of a CPU.

Everything here is made by `python scripts/reference_results.py report` of the files in
`docs/results`: every update's metrics and every evaluation (protocol `{listing.protocol}`,
[Evaluation](evaluation.md)). Intervals are 95 % bootstrap intervals over trials and seeds; with so
few seeds they are too narrow."""


def frames_part(agents: dict[str, Agent]) -> str:
    steps = listed(MAIN).runs["s5"].steps
    ours = {agent.name: mean_by_task(agent) for agent in agents.values()}
    theirs = published.CURVES[steps]
    tasks = [task for task in ours["S5"] if task != "mean"]
    rows = []
    for i, task in enumerate([*tasks, "mean"]):
        paper = [float(np.mean(x)) if task == "mean" else float(x[i]) for x in theirs.values()]
        name = f"**{task}**" if task == "mean" else task
        rows.append(
            [name, *(f"{x[task]:.0f}" for x in ours.values()), *(f"{x:.0f}" for x in paper)]
        )
    behind = [t for i, t in enumerate(tasks) if ours["S5"][t] <= theirs["S5"][i]]
    said = f"Behind it in {', '.join(behind)}." if behind else "Ahead in every task."
    mean = np.mean(theirs["S5"])
    seeds = [np.mean(list(final_returns(run).values())) for run in agents["s5"].runs]
    by_seed = ", ".join(f"{x:.0f}" for x in seeds)
    end = np.mean([published.RETURNS[task]["S5"] for task in tasks])
    return f"""## Frame for frame

Return of a 1000-step episode on the training tasks after {steps:,} frames: ours over the last
{100 * summary.FINAL_PART:.0f} % of updates, mean over seeds; the paper's read from its learning
curves. The paper's S5 has 10 layers of width 256 and learns by Muesli.

{markdown(["", *ours, *(f"{m}, paper" for m in theirs)], rows)}

Our S5's mean by seed: {by_seed}; the paper's at this number of frames is {mean:.0f}. {said} Where
the paper's curve ends, after 2e9 frames, it is at {end:.0f}: ours is at
{100 * ours["S5"]["mean"] / end:.0f} % of that.

![Learning curves](images/results_learning.png)"""


def returns_part(agents: dict[str, Agent]) -> str:
    parts = []
    for split in SPLITS:
        cell = f"{split}/fresh"
        s5 = agents["s5"]
        columns = {a.name: first_episodes(a.returns(cell)) for a in agents.values()}
        columns["S5, carry wiped every step"] = first_episodes(
            s5.returns(cell, "carry wiped every step")
        )
        columns["random"] = own_trials("random", first_episodes(s5.returns(cell, "random")))
        tasks = s5.tasks(cell)
        rows = []
        for i, task in enumerate(tasks):
            paper = [f"{published.RETURNS[task][m]:.0f}" for m in PAPER]
            shown = [raw_text(statistics.interval(x[:, [i]])) for x in columns.values()]
            rows.append([task, *shown, *paper])
        means = [f"{np.mean([published.RETURNS[t][m] for t in tasks]):.0f}" for m in PAPER]
        rows.append(
            ["**mean**", *(raw_text(statistics.interval(x)) for x in columns.values()), *means]
        )
        head = [
            split.replace("_", " "),
            *columns,
            *(f"{m}, paper at 2e9" for m in PAPER),
        ]
        parts.append(markdown(head, rows))
    return f"""## Training tasks and held-out tasks

Return of a trial's first episode behind projections not seen in training; final checkpoints, zero
shot.

{(chr(10) * 2).join(parts)}"""


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
            row.append(text(statistics.interval(scores[..., :last].mean(-1))))
        rows.append(row)
    held = first_episodes(s5.scores("held_out/fresh"))
    by_task = {
        task: statistics.interval(held[:, [i]]) for i, task in enumerate(s5.tasks("held_out/fresh"))
    }
    above = [f"{task} {text(x)}" for task, x in by_task.items() if x.low > 0.2]
    said = "; ".join(above) if above else "none"
    controls = []
    for policy in dict.fromkeys(
        e["policy"] for e in s5.results[0]["cells"] if e["condition"] == "fresh"
    ):
        found = [
            own_trials(policy, first_episodes(s5.scores(f"{split}/fresh", policy)))
            for split in SPLITS
        ]
        controls.append([policy, *(text(statistics.interval(x)) for x in found)])
    return f"""## Scores, and what lies outside the training distribution

Normalised (0: random actions, 1: an expert of the one task without projection), mean over tasks,
first episode.

{markdown(["cell", *(a.name for a in agents.values())], rows)}

Held-out tasks whose score's interval lies above 0.2 for S5, zero-shot: {said}.

S5 beside its controls, score in the cells `fresh`, first episode (the last two differ from the
agent from the second on: see the picture):

{markdown(["policy", "train", "held out"], controls)}

![Adaptation curves](images/results_adaptation.png)

S5's first seed on the training tasks:

![S5 and its controls](images/results_controls.png)"""


def improvement_part(agents: dict[str, Agent]) -> str:
    rows = []
    for other in [a for name, a in agents.items() if name != "s5"]:
        row = [f"S5 > {other.name}"]
        for split in SPLITS:
            x, y = (first_episodes(a.returns(f"{split}/fresh")) for a in (agents["s5"], other))
            row.append(text(statistics.probability_of_improvement(x, y)))
        rows.append(row)
    return f"""## Probability of improvement

How likely a trial of S5 pays more than one of the other memory on the same task, mean over tasks;
0.5: no difference.

{markdown(["", "train", "held out"], rows)}"""


def failures_part(agents: dict[str, Agent]) -> str:
    s5, failed = agents["s5"], []
    for split in SPLITS:
        scores = first_episodes(s5.scores(f"{split}/fresh"))
        for i, task in enumerate(s5.tasks(f"{split}/fresh")):
            found = statistics.interval(scores[:, [i]])
            if found.low < 0.05:
                failed.append([task, split.replace("_", " "), text(found)])
    return f"""## What is not learned at this budget

Tasks in which the interval of S5's score reaches below 0.05:

{markdown(["task", "split", "score"], failed)}"""


def speed_part(agents: dict[str, Agent]) -> str:
    rows = []
    for agent in agents.values():
        # Later seeds may have been trained on another machine.
        rate = np.median([x["steps_per_second"] for x in agent.runs[0].metrics])
        slopes = [slope(run) for run in agent.runs]
        rows.append(
            [
                agent.name,
                f"{rate:,.0f}",
                f"{agent.runs[0].metrics[-1]['steps'] / rate / 60:.0f}",
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
    plain = configs.flat(next(iter(listed(SEARCH).runs.values())))
    rows = []
    for name, agent in agents.items():
        own = configs.flat(listed(SEARCH).runs[name])
        changed = ", ".join(f"{k} {v}" for k, v in own.items() if v != plain[k])
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
update. The first run of `docs/experiments/{SEARCH}.toml` has the learning rate
{plain["ppo.learning_rate"]:g}; the others differ from it as listed. One seed each: differences of
less than about 20 in the mean say little.

{markdown(["setting", *tasks, "KL"], rows)}

Positions and angles are about 1, velocities reach tens (finger_spin pays from 15 rad/s on). Without
normalised observations reacher_easy is hardly learned, and single updates go far: see the last
column. Rewards divided by the spread of their sums, or gradients cut after 100 or 250 steps, did
not help."""


def paper_part() -> str:
    frames = [
        [f"{n:.0e}".replace("e+0", "e"), *(f"{np.mean(x):.0f}" for x in rows.values())]
        for n, rows in published.CURVES.items()
    ]
    return f"""## The paper's

[Lu et al. 2023](https://arxiv.org/abs/2303.03982): Muesli, 64 TPUv3, three seeds; S5 of 10 layers
of width 256, LSTM 512; read from its plots (± about 3). Mean return over the training tasks on the
way to 2e9 frames:

{markdown(["frames", *PAPER], frames)}"""


def pictures(agents: dict[str, Agent]) -> Iterator[tuple[str, Any]]:
    shown = list(agents.values())
    yield "learning", lambda: figures.learning(shown)
    yield "adaptation", lambda: figures.curves(shown)
    first = Agent("S5", agents["s5"].runs[:1])
    yield "controls", lambda: figures.controls(first, 0, "train/fresh")


def page(agents: dict[str, Agent]) -> str:
    """The text of docs/results.md."""
    parts = [
        setting_part(agents),
        frames_part(agents),
        returns_part(agents),
        scores_part(agents),
        improvement_part(agents),
        failures_part(agents),
        speed_part(agents),
        search_part(),
        paper_part(),
    ]
    return "# Results\n\n" + "\n\n".join(parts) + "\n"


def report() -> None:
    agents = load(MAIN)
    for name, make in pictures(agents):
        figure = figures.draw(make)
        assert figure is not None
        path = DOCS / "images" / f"results_{name}.png"
        figure.savefig(path, dpi=110, metadata={"Software": None})  # bytes of the figures alone
    (DOCS / "results.md").write_text(page(agents))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    actions = parser.add_subparsers(dest="action", required=True)
    collecting = actions.add_parser("collect")
    collecting.add_argument("experiment", help="its file in docs/experiments")
    collecting.add_argument("root", type=Path, help="folder of its runs")
    actions.add_parser("report")
    arguments = parser.parse_args()
    if arguments.action == "collect":
        collect(arguments.experiment, arguments.root)
    else:
        report()


if __name__ == "__main__":
    main()
