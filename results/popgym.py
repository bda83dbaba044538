"""Lu et al. 2023 beside its main benchmark: memory length, StatelessCartPole, POPGym.

At budgets that a CPU has. Train all runs (hours on two cores; goes on where it was), then
write docs/popgym-results.md and the numbers in it, results/popgym-results.json. What a folder of
runs lacks stays in both as it is, so that one list can be trained by itself:

    for name in memory-length stateless-cartpole repeat-previous repeat-previous-hard
    do metaenvs experiment results/experiments/$name.toml --out runs/popgym/$name; done
    python -m results.popgym time runs/popgym
    python -m results.popgym evaluate runs/popgym
    python -m results.popgym report runs/popgym
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import stats

import metaenvs
from agents.learner.trainer import Trainer
from agents.report.tables import markdown
from agents.runs import evaluate, experiment, summary
from agents.runs.experiment import Experiment
from agents.runs.run_folder import RunFolder
from metaenvs import evaluation
from metaenvs.statistics import Interval

RESULTS = Path(__file__).parent
DOCS = RESULTS.parent / "docs"
MODELS = ("s5", "lstm", "gru", "mlp")
LENGTHS = (8, 32, 128, 512)
CARTPOLE_MODELS = ("s5", "mlp", "gru")
CARTPOLE_EPISODES = 32
CARTPOLE_TRIALS = 64
PAPER_CARTPOLE = {
    "s5": {1: 0.27, 16: 0.46, 32: 0.41},
    "gru": {1: 0.13, 16: 0.41, 32: 0.32},
    "mlp": {1: 0.17, 16: 0.17, 32: 0.17},
}
NUMBERS, PAGE = RESULTS / "popgym-results.json", DOCS / "popgym-results.md"
PAPER_HARD = {"s5": 0.91, "gru": -0.46, "mlp": -0.48}


def listed(name: str) -> Experiment:
    """The runs of a part."""
    return experiment.read(RESULTS / "experiments" / f"{name}.toml")


def seeds_of(folder: Path) -> list[Path]:
    """The runs of a folder that have ended."""
    return sorted(path.parent for path in folder.glob("seed*/summary.json"))


def metrics_of(folder: Path) -> list[list[summary.Line]]:
    """The lines of all seeds."""
    return [summary.lines_of(path) for path in seeds_of(folder)]


def returns(folder: Path) -> dict[str, Any] | None:
    """`agents.runs.summary.summarise` of all seeds; None where none has ended."""
    metrics = metrics_of(folder)
    return summary.summarise(metrics) if metrics else None


def time_updates(root: Path) -> None:
    """Seconds of an update of one agent, by length and model; the machine should be idle."""
    out: dict[str, dict[str, float]] = {}
    runs = listed("memory-length").runs
    for length in LENGTHS:
        for model in MODELS:
            config = runs[f"{length}-{model}"]
            trainer = Trainer(config)
            state, _ = jax.block_until_ready(trainer.update(trainer.init()))
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                state, _ = jax.block_until_ready(trainer.update(state))
                seconds.append(time.perf_counter() - start)
            out.setdefault(str(length), {})[model] = statistics.median(seconds)
            print(length, model, f"{out[str(length)][model]:.4f} s", flush=True)
    (root / "seconds.json").write_text(json.dumps(out, indent=1) + "\n")


def interval(strata: list[np.ndarray]) -> list[float]:
    """Mean of means of strata, and its 95 % bootstrap interval inside the strata."""

    def mean(*samples, axis=-1):
        return np.mean([x.mean(axis=axis) for x in samples], axis=0)

    result = stats.bootstrap(
        tuple(strata), mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    )
    low, high = result.confidence_interval
    return [float(mean(*strata)), float(low), float(high)]


def cartpole_training(folder: Path) -> dict[str, Any] | None:
    """Returns by episode at the end of training, mean over the last updates of each seed."""
    by_seed = []
    for lines in metrics_of(folder):
        rows = [next(iter(x["return_by_episode"].values())) for x in summary.last(lines)]
        by_seed.append(np.nanmean(np.array(rows, float), axis=0).tolist())
    return {"by_episode_by_seed": by_seed, **(returns(folder) or {})} if by_seed else None


def cartpole_evaluation(folder: Path) -> dict[str, Any]:
    """Returns by episode of trials twice as long as those of the training."""
    by_seed = []
    for path in seeds_of(folder):
        run = RunFolder.open(path)
        policy, _, _ = evaluate.load(run)
        env, _ = metaenvs.make(
            run.config.env, episodes_per_trial=CARTPOLE_EPISODES, observe=run.config.observe
        )
        trials = evaluation.run_trials(
            policy, env, env.task_names, trials_per_task=CARTPOLE_TRIALS, seed=7
        )
        by_seed.append(trials.returns_by_episode(CARTPOLE_EPISODES)[0])  # [trials, episodes]
    first_half = [x[:, :16].mean(axis=1) for x in by_seed]
    rise = [x[:, 8:16].mean(axis=1) - x[:, 0] for x in by_seed]
    return {
        "by_episode": np.mean([x.mean(axis=0) for x in by_seed], axis=0).tolist(),
        "first_16_episodes": interval(first_half),
        "first_16_episodes_by_seed": [float(x.mean()) for x in first_half],
        "episodes_9_to_16_minus_first": interval(rise),
    }


def evaluate_cartpole(root: Path) -> None:
    """Models one after the other; what is done is kept."""
    path = root / "stateless-cartpole.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    for model in CARTPOLE_MODELS:
        if model not in done:
            done[model] = cartpole_evaluation(root / "stateless-cartpole" / model)
            path.write_text(json.dumps(done, indent=1) + "\n")


def read_if_there(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else {}


def measured(root: Path, name: str) -> dict[str, Any]:
    """`returns` of each run of a list that has ended, and the hours of its updates."""
    found = {}
    for run in listed(name).runs:
        metrics = metrics_of(root / name / run)
        if metrics:
            seconds = sum(line["seconds"] for lines in metrics for line in lines)
            found[run] = {**summary.summarise(metrics), "core_hours": round(seconds / 3600, 3)}
    return found


def measure(root: Path) -> dict[str, Any]:
    """The numbers of the runs under `root`; of parts that it lacks, those that are published."""
    found = {
        "memory_length": {
            str(n): {m: returns(root / "memory-length" / f"{n}-{m}") for m in MODELS}
            for n in LENGTHS
        }
        if (root / "memory-length").exists()
        else {},
        "memory_length_seconds_per_update": read_if_there(root / "seconds.json"),
        "stateless_cartpole": {
            m: x
            for m in CARTPOLE_MODELS
            if (x := cartpole_training(root / "stateless-cartpole" / m)) is not None
        },
        "stateless_cartpole_evaluation": read_if_there(root / "stateless-cartpole.json"),
        "repeat_previous": measured(root, "repeat-previous"),
        "repeat_previous_hard": measured(root, "repeat-previous-hard"),
    }
    published = read_if_there(NUMBERS)
    by = {"jax": jax.__version__, "backend": jax.default_backend()} if any(found.values()) else {}
    return published | {name: part for name, part in found.items() if part} | by


def final_and_mmer(result: dict[str, Any] | None) -> str:
    if result is None:
        return "not run"
    return f"{result['final_return']:.2f} ({result['mmer']:.2f})"


def memory_length_part(results: dict[str, Any]) -> str:
    names = [m.upper() for m in MODELS]
    by_length = results["memory_length"]
    rows = [[n, *(final_and_mmer(by_length[n][m]) for m in MODELS)] for n in by_length]
    text = f"""## Memory length

bsuite's memory chain (`MemoryChain-bsuite`): one bit is shown at the start, and the last action,
`length` steps later, pays 1 for naming it and -1 otherwise. Preset `memory-length-cpu`:
200 updates of 64 episodes for every length and model (width 32, 2 layers), 2 seeds.
Mean return at the end of training; in brackets MMER.

{markdown(["length", *names], rows)}

The paper (A2C): S5 solves lengths up to 512, LSTM up to 8. The observation holds the time that is
left, as bsuite's does."""
    seconds = results["memory_length_seconds_per_update"]
    if seconds:
        rows = [[n, *(f"{1000 * seconds[n][m]:.0f}" for m in MODELS)] for n in seconds]
        text += f"""

Milliseconds of an update (64 episodes of acting, 4 epochs of learning) of one agent on the CPU,
median of 3:

{markdown(["length", *names], rows)}"""
    return text


def cartpole_part(results: dict[str, Any]) -> str:
    found = results["stateless_cartpole"]
    episodes = (1, 2, 4, 8, 12, 16)
    rows = []
    for m, x in found.items():
        curve = np.mean(x["by_episode_by_seed"], axis=0)
        by_seed = ", ".join(f"{value:.3f}" for value in x["final_return_by_seed"])
        rows.append([m.upper(), *(f"{curve[k - 1]:.2f}" for k in episodes), by_seed])
    for m, paper in PAPER_CARTPOLE.items():
        cells = [f"{paper[k]:.2f}" if k in paper else "" for k in episodes]
        rows.append([f"{m.upper()}, paper", *cells, ""])
    config = listed("stateless-cartpole").runs["s5"]
    text = f"""## StatelessCartPole in context

`RandomProjection-StatelessCartPole-v0`: trials of 16 episodes. Preset `{config.preset}`,
{config.steps:,} steps. Return by episode of the trial at the end of training, mean over seeds;
last, each seed's mean over all episodes. The paper's figures are read from its plot. Its task
replays the same start in all episodes of a trial and leaves actions unprojected, so the curves are
not like for like.

{markdown(["episode", *map(str, episodes), "by seed"], rows)}

Gradients have to cross several episodes: one seed of S5 with rollouts of 256 steps, about three
episodes, ended at 0.42 in all episodes alike, and without the entropy bonus at 0.29.

Without `--ppo.stop-at-termination` nothing is learned here. The task pays for every step, and a
trial goes on with the next episode when one fails; its end is a time limit, from which the value is
bootstrapped. So the discounted sum of rewards is the same whatever the agent does."""
    evaluated = results["stateless_cartpole_evaluation"]
    if evaluated:
        text += f"""

{evaluation_part(evaluated)}"""
    return text


def evaluation_part(evaluated: dict[str, Any]) -> str:
    episodes = (1, 2, 4, 8, 16, 24, 32)
    curves = [
        [m.upper(), *(f"{x['by_episode'][k - 1]:.2f}" for k in episodes)]
        for m, x in evaluated.items()
    ]
    curves += [
        [f"{m.upper()}, paper", *(f"{paper[k]:.2f}" if k in paper else "" for k in episodes)]
        for m, paper in PAPER_CARTPOLE.items()
    ]
    inside = [
        [
            m.upper(),
            Interval(*x["first_16_episodes"]).shown(3),
            ", ".join(f"{value:.3f}" for value in x["first_16_episodes_by_seed"]),
            Interval(*x["episodes_9_to_16_minus_first"]).shown(3),
        ]
        for m, x in evaluated.items()
    ]
    return f"""Final checkpoints in trials of {CARTPOLE_EPISODES} episodes, {CARTPOLE_TRIALS} trials
per seed:

{markdown(["episode", *map(str, episodes)], curves)}

Mean of episodes 1 to 16, each seed's, and the rise inside the trial (episodes 9 to 16 less the
first), with 95 % bootstrap intervals over trials, stratified by seed:

{markdown(["", "episodes 1-16", "by seed", "rise"], inside)}"""


def returns_table(runs: dict[str, Any], paper: dict[str, float]) -> str:
    """Final return first, MMER beside it; of the paper's there is MMER alone."""
    rows = [
        [
            label(name),
            f"{x['final_return']:.2f}",
            ", ".join(f"{value:.2f}" for value in x["final_return_by_seed"]),
            f"{x['mmer']:.2f}",
        ]
        for name, x in runs.items()
    ]
    rows += [[f"{label(name)}, paper", "", "", f"{value:.2f}"] for name, value in paper.items()]
    return markdown(["", "final return", "by seed", "MMER"], rows)


def label(run: str) -> str:
    """`s5-default-state` is S5, default state."""
    memory, *rest = run.split("-")
    return ", ".join([memory.upper(), *([" ".join(rest)] if rest else [])])


def popgym_part(results: dict[str, Any]) -> str:
    config = listed("repeat-previous").runs["s5"]
    runs = listed("repeat-previous-hard").runs
    hard, found = runs["s5"], results["repeat_previous_hard"]
    hours, states = sum(x["core_hours"] for x in found.values()), hard.model.state_size
    return f"""## RepeatPrevious

`{config.env}` (name the card of 32 steps ago; returns in [-1, 1]). Preset `{config.preset}`,
{config.steps:,} steps, discount and GAE parameter {config.ppo.gamma}; the same steps, width and
layers for each model. An action is paid for at once, hence the short horizon.

{returns_table(results["repeat_previous"], {})}

`{hard.env}` (the card of 64 steps ago) at {hard.steps:,} steps, where the
paper has 15 million, and about {round(runs["gru"].model.params, -3):,} parameters for each
sequence model; {hours:.1f} core hours for all runs together, on cores that had other work too.

{returns_table(found, PAPER_HARD)}

The first S5 has {states} complex states per layer, that is {2 * states} numbers: as many as 64
suits have, one of four each. By default it has half as many complex states as features."""


def page(results: dict[str, Any]) -> str:
    """docs/popgym-results.md."""
    parts = [memory_length_part(results), cartpole_part(results), popgym_part(results)]
    return f"""# The paper's smaller experiments, on a CPU

Lu et al. 2023 beside its main benchmark, at budgets that two CPU cores have. Written by
`results/popgym.py`; the runs are listed in `results/experiments/`, for
`metaenvs experiment`; all numbers are in `results/popgym-results.json`. Final returns are
means over the last {100 * summary.FINAL_PART:.0f} % of updates.

{summary.MMER}

{(chr(10) * 2).join(parts)}
"""


def report(root: Path) -> None:
    results = measure(root)
    NUMBERS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(results))


def main() -> None:
    actions = {
        "time": time_updates,
        "evaluate": evaluate_cartpole,
        "report": report,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("action", choices=actions)
    parser.add_argument("root", type=Path, help="folder of the runs")
    arguments = parser.parse_args()
    actions[arguments.action](arguments.root)


if __name__ == "__main__":
    main()
