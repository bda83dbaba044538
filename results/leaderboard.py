"""docs/leaderboard.md and the table in README.md, made of evaluation files alone.

    python -m results.leaderboard

Ours are in results/runs, others in results/leaderboard (.json.xz); what the paper says is in
agents/report/published.py.
"""

import dataclasses
import re
from pathlib import Path

import numpy as np

from agents.report import published, submission
from agents.report.runs import Agent, Run
from agents.report.tables import markdown, raw_text
from metaenvs import evaluation, statistics
from results.data import (
    DOCS,
    GUIDED,
    GUIDED_FOUR,
    IN_CONTEXT,
    LONG,
    MAIN,
    RESULTS,
    WITH_LOCAL_MODEL,
    WITH_LOCAL_MODEL_FOUR,
    WITH_LOCAL_MODEL_LONG,
    WITH_MODEL,
    load,
)
from results.tables import SPLITS

README = RESULTS.parent / "README.md"
SUBMITTED = RESULTS / "leaderboard"
MARKS = "<!-- headline: python -m results.leaderboard -->\n", "<!-- /headline -->"
"""In README.md, before and after the table."""
PAPER = ("S5", "LSTM", "MLP")


@dataclasses.dataclass(frozen=True)
class Ours:
    """A row of our own: what it is called, and its evaluations."""

    name: str
    trained: str
    experiment: str
    run: str
    headline: bool = True

    def agent(self) -> Agent:
        return load(self.experiment)[self.run]


REFERENCE = Ours("S5", "recurrent PPO, 2 layers x 64", MAIN, "s5")
"""Whose file random actions and experts are read from."""

OURS = (
    Ours("S5, in context, guided, then trials of four", "docs/adaptation.md", GUIDED_FOUR, "four"),
    Ours("S5, in context, guided at first", "docs/adaptation.md", GUIDED, "freed", headline=False),
    Ours("S5, in context, longer", "docs/adaptation.md", WITH_LOCAL_MODEL_LONG, "long"),
    Ours("S5, in context, with a local model", "docs/adaptation.md", WITH_LOCAL_MODEL_FOUR, "four"),
    Ours(
        "S5, in context, with a local model, before its trials of four",
        "docs/adaptation.md",
        WITH_LOCAL_MODEL,
        "two",
        headline=False,
    ),
    Ours("S5, in context, with a model", "docs/adaptation.md", WITH_MODEL, "s5", headline=False),
    Ours("S5, in context", "docs/adaptation.md", IN_CONTEXT, "s5"),
    Ours("S5, longer", "recurrent PPO, 2 layers x 64", LONG, "layers2"),
    REFERENCE,
    Ours("LSTM", "recurrent PPO, as many parameters", MAIN, "lstm", headline=False),
    Ours("GRU", "recurrent PPO, as many parameters", MAIN, "gru", headline=False),
    Ours("MLP, no memory", "PPO, as many parameters", MAIN, "mlp"),
)


def frames(n: float) -> str:
    """A number of frames in a word: 5.0e7."""
    return f"{n:.1e}".replace("e+0", "e").replace(".0e", "e")


def trained_frames(agent: Agent) -> str:
    """Frames that an agent was trained on: its steps, unless it held its actions."""
    about = agent.results[0]["agent"]
    return frames(about.get("frames", about["steps"]))


def means(agent: Agent, policy: str = "agent") -> list[statistics.Interval]:
    """Return of a trial's first episode, mean over the tasks of each split."""
    runs = slice(0, 1) if policy == "random" else slice(None)  # the same trials in every file
    return [
        statistics.interval(agent.returns(f"{split}/fresh", policy)[runs, ..., 0])
        for split in SPLITS
    ]


def experts(agent: Agent) -> list[float]:
    """What experts of one task each get without projection, mean over tasks."""
    anchors = agent.results[0]["anchors"]
    return [
        float(np.mean([anchors[task]["expert"]["value"] for task in agent.tasks(f"{x}/fresh")]))
        for x in SPLITS
    ]


def papers(memory: str, agent: Agent) -> list[str]:
    """What the paper's curves show, mean over the tasks of each split."""
    return [
        f"{np.mean([published.RETURNS[task][memory] for task in agent.tasks(f'{x}/fresh')]):.0f}"
        for x in SPLITS
    ]


def headline() -> str:
    """The table in README.md."""
    rows, reference = [], REFERENCE.agent()
    for ours in OURS:
        if ours.headline:
            agent = ours.agent()
            row = [f"{ours.name} (ours)", trained_frames(agent)]
            rows.append([*row, *map(raw_text, means(agent))])
    rows.append(["random actions", "0", *map(raw_text, means(reference, "random"))])
    rows.append(
        ["experts of one task each, no projection", "", *(f"{x:.0f}" for x in experts(reference))]
    )
    rows += [[f"{m} (paper)", "2e9", *papers(m, reference)] for m in PAPER]
    return markdown(["agent", "frames", "train", "held out"], rows)


def submitted() -> list[Run]:
    """Evaluations of others, each checked."""
    runs = []
    for path in sorted(SUBMITTED.glob("*.json.xz")):
        result = evaluation.load(path)
        found = submission.faults(result)
        if found:
            raise ValueError(f"{path}: {'; '.join(found)}")
        runs.append(Run(result["agent"]["name"], result, None, ()))
    return runs


def page() -> str:
    """The text of docs/leaderboard.md."""
    reference = REFERENCE.agent()
    rows: list[list[str]] = []
    order: list[float] = []
    for ours in OURS:
        agent = ours.agent()
        found, seeds = means(agent), len(agent.runs)
        rows.append([f"{ours.name} (ours)", ours.trained, trained_frames(agent), f"{seeds}"])
        rows[-1] += [*map(raw_text, found)]
        order.append(found[1].value)
    for run in submitted():
        if run.result["suite"] != published.SUITE:
            continue
        about, found = run.result["agent"], means(Agent(run.name, (run,)))
        name = f"[{run.name}]({about['url']})"
        rows.append([name, about["trained"], frames(about["frames"]), "1", *map(raw_text, found)])
        order.append(found[1].value)
    rows = [rows[i] for i in np.argsort(-np.array(order), kind="stable")]
    random = ["random actions", "not at all", "0", "", *map(raw_text, means(reference, "random"))]
    paper = [[f"{m}, Lu et al. 2023", "Muesli", "2e9", "3", *papers(m, reference)] for m in PAPER]
    header = ["agent", "trained", "frames", "seeds", "train", "held out"]
    protocol = next(iter(evaluation.PROTOCOLS))
    train, held_out = experts(reference)
    return f"""# Leaderboard

`{published.SUITE}`, protocol `{protocol}` ([Evaluation](evaluation.md)): return of a trial's first
episode behind projections not seen in training, mean over the six training tasks and the five
held-out tasks, with 95 % bootstrap intervals over trials and seeds. Best on held-out tasks first.
Made of evaluation files by `python -m results.leaderboard`.

{markdown(header, [*rows, random])}

## What the paper reports

{markdown(header, paper)}

These are read from the paper's plots (to about 3), without intervals. They are not measured by this
protocol, and differ in more than the agent: the paper does not state how its projections are drawn,
its agents saw the previous reward but not the previous action, and they were trained for far more
frames, on 64 TPUs ([Differences to the paper](differences.md)). For comparison: experts of one task
each, without a projection, reach {train:.0f} on the training tasks and {held_out:.0f} on the
held-out tasks.

## Put yours here

1. Score your agent, and say what it is. Agents in NumPy, PyTorch, Stable-Baselines3 or JAX:

        metaenvs evaluate --policy my_agent.py:Agent --out mine \\
            --name "My agent" --trained "how, in a few words" \\
            --steps 50000000 --frames 50000000 --url https://where.it.is/described

    `steps` are the decisions that it was trained on, `frames` the tasks' steps in them: the same,
    unless an action was held for several.

2. Look at it beside ours: `metaenvs report mine --baseline s5`.
3. Check it: `metaenvs check mine/evaluation.json`.
4. Open a pull request that adds `xz -k mine/evaluation.json` as
   `results/leaderboard/NAME.json.xz`, and the page made anew by `python -m results.leaderboard`.
   The tests check the file and the page.

Train on the training tasks alone. An agent that was trained, chosen or tuned on held-out tasks is
not comparable, and nobody can see it in the file: say how yours was chosen where the URL leads.
"""


def with_headline(readme: str) -> str:
    """README.md with its table made anew."""
    before, after = map(re.escape, MARKS)
    table = f"{MARKS[0]}{headline()}\n{MARKS[1]}"
    return re.sub(f"{before}.*?{after}", lambda _: table, readme, flags=re.DOTALL)


def main() -> None:
    for path, text in (
        (DOCS / "leaderboard.md", page()),
        (README, with_headline(README.read_text())),
    ):
        Path(path).write_text(text)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
