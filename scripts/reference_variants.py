"""Sections of docs/results.md about S5 trained in another way than in its main list."""

import numpy as np
from reference_data import (
    DYNAMICS,
    ENTROPY,
    MAIN,
    STOPPED,
    first_episodes,
    last_half,
    listed,
    load,
    mean_by_task,
    own_trials,
    until,
)
from reference_tables import SPLITS, clearly_learned, returns_table, training_table

from agents import config as configs
from agents.report import published
from agents.report.runs import Agent
from agents.report.tables import markdown

STOPPED_PART = 0.2
"""Of the updates until then: over which the returns of a run that was stopped are taken."""


def evaluated(agents: dict[str, Agent]) -> str:
    """Returns of first episodes by split and task, a column for each agent."""
    tables = []
    for split in SPLITS:
        cell = f"{split}/fresh"
        columns = {label: first_episodes(agent.returns(cell)) for label, agent in agents.items()}
        tasks = next(iter(agents.values())).tasks(cell)
        tables.append(returns_table(split.replace("_", " "), tasks, columns, {}))
    return "\n\n".join(tables)


def stopped_part(agents: dict[str, Agent]) -> str:
    usual, settings = listed(MAIN).runs["s5"], listed(STOPPED).runs
    plain = configs.flat(usual)
    # The steps are those they were to have, and the width that `params` sets is the same.
    same = {"steps", "model.params"}
    rows = []
    for name, agent in load(STOPPED).items():
        own = configs.flat(settings[name])
        changed = ", ".join(f"{k} {v}" for k, v in own.items() if v != plain[k] and k not in same)
        frames = agent.runs[0].metrics[-1]["steps"]
        for label, other in {changed: agent, "as listed": agents["s5"]}.items():
            then = until(other, frames)
            halves = zip(*map(last_half, then.runs), strict=True)
            entropy, _, divergence = (np.median(np.concatenate(x)) for x in halves)
            returns = (f"{x:.0f}" for x in mean_by_task(then, STOPPED_PART).values())
            rows.append([f"{frames:,}", label, *returns, f"{entropy:.2g}", f"{divergence:.2g}"])
    steps = max(config.steps for config in settings.values())
    return f"""## What a longer run met

S5 was to be trained for {steps:,} steps, in {len(settings)} ways
(`docs/experiments/{STOPPED}.toml`). Each was stopped where it stood still or was behind the seeds
above at as many frames. Returns over the last {100 * STOPPED_PART:.0f} % of the updates until then,
and medians of entropy and approximate KL over the last half:

{markdown(["frames", "run", *mean_by_task(agents["s5"]), "entropy", "KL"], rows)}

One seed each, stopped by eye on these returns, and two of them differ in two settings at once: they
say that these runs were not ahead when they were stopped, not what each setting does by itself, nor
what the runs would have become."""


def entropy_part(agents: dict[str, Agent]) -> str:
    name, config = next(iter(listed(ENTROPY).runs.items()))
    bonus = config.ppo.entropy_coef
    shown = {
        f"bonus {listed(MAIN).runs['s5'].ppo.entropy_coef:g}": agents["s5"],
        f"bonus {bonus:g}": load(ENTROPY)[name],
    }
    returns = {label: mean_by_task(agent) for label, agent in shown.items()}
    policy = [
        [f"{label}, seed {i}", *(f"{np.median(x):.3g}" for x in last_half(run))]
        for label, agent in shown.items()
        for i, run in enumerate(agent.runs)
    ]
    learned = clearly_learned(shown[f"bonus {bonus:g}"])
    less, more = (x["mean"] for x in returns.values())
    said = (
        "The policy keeps its entropy and the gradient its size; the mean is "
        f"{more:.0f} instead of {less:.0f}."
        + (" So something else stops them." if more < less else "")
    )
    return f"""## What the entropy bonus does

The policies of S5 above lose their entropy on the way, and their gradients grow as they do. Is that
what stops them? One seed with a bonus of {bonus:g}, all else equal
(`docs/experiments/{ENTROPY}.toml`). Medians over the last half of the updates:

{markdown(["", "entropy", "gradient's norm", "approximate KL"], policy)}

Returns in training, as in the table frame for frame:

{training_table(returns, {"S5": published.CURVES[config.steps]["S5"]})}

{said}

Evaluated, first episodes, zero shot:

{evaluated(shown)}

Held-out tasks whose score's interval lies above 0.2 with a bonus of {bonus:g}: {learned}.

![Learning curves by entropy bonus](images/results_entropy.png)"""


def dynamics_part(agents: dict[str, Agent]) -> str:
    s5, drawn = agents["s5"], load(DYNAMICS)["s5"]
    config = listed(DYNAMICS).runs["s5"]
    tasks = drawn.tasks("train/fresh")
    kept = [s5.tasks("train/fresh").index(task) for task in tasks]
    columns = {
        "drawn: its own range": first_episodes(drawn.returns("train/fresh")),
        "drawn: beyond it": first_episodes(drawn.returns("held_out/fresh")),
        "not drawn: nominal": first_episodes(s5.returns("train/fresh"))[:, kept],
        "not drawn: beyond": first_episodes(s5.returns("train/other_dynamics"))[:, kept],
        "random: nominal": own_trials(
            "random", first_episodes(s5.returns("train/fresh", "random"))[:, kept]
        ),
    }
    return f"""## Where trials draw their dynamics

One seed of S5 trained for {config.steps:,} steps on `{config.env}`
(`docs/experiments/{DYNAMICS}.toml`), whose trials draw masses, lengths,
damping and gears within 0.75 to 1.25 times their own, beside S5 of `RandomProjection-v0`, which is
trained on the nominal dynamics and on more tasks. Return of the first episode; "beyond" is 1.3 to
1.8 times.

{returns_table("", tasks, columns, {})}"""
