"""Sections of docs/results.md about S5 trained in another way than in its main list."""

import numpy as np

from agents import config as configs
from agents.report import published
from agents.report.runs import Agent
from agents.report.tables import markdown, raw_text
from results.data import (
    DYNAMICS,
    ENTROPY,
    LONG,
    MAIN,
    STOPPED,
    first_episodes,
    last_half,
    listed,
    load,
    mean_by_task,
    means_by_seed,
    own_trials,
    slope,
    speed,
    until,
)
from results.tables import (
    SPLITS,
    beside_paper,
    difference,
    first_by_split,
    learned_table,
    returns_table,
    training_table,
)

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


def changes(name: str, run: str) -> str:
    """What is learned from differs in these settings from S5 of the main list."""
    # The steps are said beside it, and the width that `params` sets is the same.
    no_matter = {"steps", "model.params", "checkpoint_every"}
    found = configs.differences(listed(MAIN).runs["s5"], listed(name).runs[run])
    return ", ".join(f"{k} {own}" for k, (_, own) in found.items() if k not in no_matter)


def long_part(agents: dict[str, Agent]) -> str:
    long, usual = load(LONG), listed(MAIN).runs["s5"].steps
    steps = next(iter(listed(LONG).runs.values())).steps
    main = f"main list, {usual:.0e}".replace("e+0", "e")

    def training(frames: int, shown: dict[str, Agent]) -> str:
        returns = {label: mean_by_task(agent) for label, agent in shown.items()}
        theirs = published.CURVES[frames]["S5"]
        said = (beside_paper(f"`{name}`", returns[name], theirs) for name in long)
        return f"After {frames:,} frames:\n\n" + "\n\n".join(
            [training_table(returns, {"S5": theirs}), *said]
        )

    on_the_way = {name: until(agent, usual) for name, agent in long.items()}
    policy = []
    for name, agent in long.items():
        (run,) = agent.runs
        rate, minutes = speed(run)
        medians = (f"{np.median(x):.2g}" for x in last_half(run))
        policy.append([name, *medians, f"{slope(run):+.1f}", f"{rate:,.0f}", f"{minutes:.0f}"])

    own = first_by_split(agents["s5"])
    more = []
    for name, agent in long.items():
        pairs = zip(first_by_split(agent), own, strict=True)
        more.append([f"{name} - {main}", *(raw_text(difference(*pair)) for pair in pairs)])
    alone = means_by_seed(load(ENTROPY)["entropy005"])
    settings = [[name, changes(LONG, name)] for name in long]
    return f"""## Longer runs

S5 trained for {steps:,} steps (`results/experiments/{LONG}.toml`), one seed of each
setting. Besides the steps they differ from S5 of the main list in:

{markdown(["run", "settings"], settings)}

Training returns as in the table frame for frame:

{training(usual, {main: agents["s5"], **on_the_way})}

There the learning rate of the longer runs has fallen by half, that of the main list to zero. Over
the main list's steps the bonus of `layers2` alone makes {alone} (above).

{training(steps, long)}

Medians over the last half of the updates; slope of the training return at the end; steps per second
on one core, beside other work on the other, and minutes at that rate:

{markdown(["", "entropy", "gradient's norm", "KL", "slope", "steps/s", "minutes"], policy)}

Evaluated after {steps:,} steps, first episodes, zero shot:

{evaluated({main: agents["s5"], **long})}

More of return than S5 of the main list on the same trials, mean over tasks, interval over trials
alone:

{markdown(["", "train", "held out"], more)}

Held-out tasks whose score's interval lies above 0.2:

{learned_table(long)}

![Learning curves of the longer runs](images/results_long.png)"""


def stopped_part(agents: dict[str, Agent]) -> str:
    settings = listed(STOPPED).runs
    rows = []
    for name, agent in load(STOPPED).items():
        changed = changes(STOPPED, name)
        frames = agent.runs[0].metrics[-1]["steps"]
        for label, other in {changed: agent, "as listed": agents["s5"]}.items():
            then = until(other, frames)
            halves = zip(*map(last_half, then.runs), strict=True)
            entropy, _, divergence = (np.median(np.concatenate(x)) for x in halves)
            returns = (f"{x:.0f}" for x in mean_by_task(then, STOPPED_PART).values())
            rows.append([f"{frames:,}", label, *returns, f"{entropy:.2g}", f"{divergence:.2g}"])
    steps = max(config.steps for config in settings.values())
    return f"""## Longer runs that were stopped

S5 was to be trained for {steps:,} steps, in {len(settings)} ways
(`results/experiments/{STOPPED}.toml`). Each was stopped where it stood still or was behind the
seeds of the [results](results.md) at as many frames. Returns over the last
{100 * STOPPED_PART:.0f} % of the updates until then, and medians of entropy and approximate KL over
the last half:

{markdown(["frames", "run", *mean_by_task(agents["s5"]), "entropy", "KL"], rows)}

One seed each, stopped by eye on these returns, and two of them differ in two settings at once: they
say that these runs were not ahead when they were stopped, not what each setting does by itself, nor
what the runs would have become."""


def entropy_part(agents: dict[str, Agent]) -> str:
    settings = listed(ENTROPY).runs
    by_bonus = {listed(MAIN).runs["s5"].ppo.entropy_coef: agents["s5"]}
    by_bonus |= {settings[name].ppo.entropy_coef: x for name, x in load(ENTROPY).items()}
    shown = {f"bonus {bonus:g}": by_bonus[bonus] for bonus in sorted(by_bonus)}
    returns = {label: mean_by_task(agent) for label, agent in shown.items()}
    policy = [
        [f"{label}, seed {i}", *(f"{np.median(x):.3g}" for x in last_half(run))]
        for label, agent in shown.items()
        for i, run in enumerate(agent.runs)
    ]
    means = "; ".join(f"{label}: {means_by_seed(agent)}" for label, agent in shown.items())
    steps = next(iter(settings.values())).steps
    return f"""## What the entropy bonus does

The policies of S5 in the [results](results.md) lose their entropy on the way, and their gradients
grow as they do. Is that what stops them? One seed with each larger bonus, all else equal
(`results/experiments/{ENTROPY}.toml`). Medians over the last half of the updates:

{markdown(["", "entropy", "gradient's norm", "approximate KL"], policy)}

Returns in training, as in the table frame for frame:

{training_table(returns, {"S5": published.CURVES[steps]["S5"]})}

The largest bonus keeps the policy's entropy and the gradient its size. Means by seed: {means}.

Evaluated, first episodes, zero shot:

{evaluated(shown)}

Held-out tasks whose score's interval lies above 0.2:

{learned_table(shown)}

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
(`results/experiments/{DYNAMICS}.toml`), whose trials draw masses, lengths,
damping and gears within 0.75 to 1.25 times their own, beside S5 of `RandomProjection-v0`, which is
trained on the nominal dynamics and on more tasks. Return of the first episode; "beyond" is 1.3 to
1.8 times.

{returns_table("", tasks, columns, {})}"""
