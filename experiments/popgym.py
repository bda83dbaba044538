"""Lu et al. 2023 beside its main benchmark: memory length, StatelessCartPole, POPGym.

At budgets that a CPU has. Train all runs (hours on two cores; goes on where it was), then
write docs/popgym-results.md and the numbers in it, docs/popgym-results.json:

    python experiments/popgym.py train runs/popgym
    python experiments/popgym.py time runs/popgym
    python experiments/popgym.py report runs/popgym
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import stats

import metaenvs
from agents import cli, evaluate, summary
from agents import config as configs
from agents.run_folder import RunFolder
from agents.train import Trainer
from metaenvs import evaluation

DOCS = Path(__file__).parents[1] / "docs"
MODELS = ("s5", "lstm", "gru", "mlp")
LENGTHS = (8, 32, 128, 512)
MEMORY_UPDATES = 200
CARTPOLE_MODELS = ("s5", "gru", "mlp")
CARTPOLE_STEPS = 2_000_000
CARTPOLE_EPISODES = 32
CARTPOLE_TRIALS = 64
PAPER_CARTPOLE = {
    "s5": {1: 0.27, 16: 0.46, 32: 0.41},
    "gru": {1: 0.13, 16: 0.41, 32: 0.32},
    "mlp": {1: 0.17, 16: 0.17, 32: 0.17},
}
POPGYM_ENV = "popgym-RepeatPreviousMedium-v0"
POPGYM_FLAGS = (
    "--steps=1500000",
    "--ppo.gamma=0.9",
    "--ppo.gae-lambda=0.9",
    "--ppo.reward-scale=10",
)
POPGYM_MODELS = ("s5", "gru", "mlp")


def memory_length_flags(length: int) -> list[str]:
    steps = MEMORY_UPDATES * 64 * (length + 1)
    return [
        "--preset=memory-length-cpu",
        f"--env-params.memory-length={length}",
        f"--rollout-steps={length + 1}",
        f"--steps={steps}",
    ]


def runs() -> Iterator[tuple[str, list[str]]]:
    """All trainings: folder and flags."""
    for length in LENGTHS:
        for model in MODELS:
            flags = [*memory_length_flags(length), f"--model.memory={model}", "--seeds=2"]
            yield f"memory-length/{length}-{model}", flags
    for model in CARTPOLE_MODELS:
        for seed in range(3):
            flags = ["--preset=stateless-cartpole-cpu", f"--steps={CARTPOLE_STEPS}"]
            flags += [f"--model.memory={model}", f"--seed={seed}"]
            yield f"stateless-cartpole/{model}/seed{seed}", flags
    for model in POPGYM_MODELS:
        for seed in range(3):
            flags = ["--preset=popgym-cpu", f"--env={POPGYM_ENV}", *POPGYM_FLAGS]
            flags += ["--checkpoint-every=500", f"--model.memory={model}", f"--seed={seed}"]
            yield f"repeat-previous/{model}/seed{seed}", flags


def train(root: Path) -> None:
    for folder, flags in runs():
        if cli.main(["train", *flags, "--resume", f"--out={root / folder}"]):
            raise SystemExit(f"{folder} did not end")


def seeds_of(folder: Path) -> list[Path]:
    """The runs of a folder that have ended."""
    return sorted(path.parent for path in folder.glob("seed*/summary.json"))


def returns(folder: Path) -> dict[str, Any] | None:
    """`agents.summary.summarise` of all seeds; None where none has ended."""
    metrics = [
        [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        for path in seeds_of(folder)
    ]
    return summary.summarise(metrics) if metrics else None


def time_updates(root: Path) -> None:
    """Seconds of an update of one agent, by length and model; the machine should be idle."""
    out: dict[str, dict[str, float]] = {}
    for length in LENGTHS:
        for model in MODELS:
            config = configs.preset("memory-length-cpu")
            config = dataclasses.replace(
                config,
                env_params={**config.env_params, "memory_length": length},
                rollout_steps=length + 1,
                model=dataclasses.replace(config.model, memory=model),
            )
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


def cartpole(root: Path, model: str) -> dict[str, Any] | None:
    """Returns by episode of trials twice as long as those of the training."""
    by_seed = []
    for path in seeds_of(root / "stateless-cartpole" / model):
        run = RunFolder.open(path)
        policy, _, _ = evaluate.load(run)
        env, _ = metaenvs.make(
            run.config.env, episodes_per_trial=CARTPOLE_EPISODES, observe=run.config.observe
        )
        trials = evaluation.run_trials(
            policy, env, env.task_names, trials_per_task=CARTPOLE_TRIALS, seed=7
        )
        by_seed.append(trials.returns_by_episode(CARTPOLE_EPISODES)[0])  # [trials, episodes]
    if not by_seed:
        return None
    first_half = [x[:, :16].mean(axis=1) for x in by_seed]
    rise = [x[:, 8:16].mean(axis=1) - x[:, 0] for x in by_seed]
    return {
        "seeds": len(by_seed),
        "by_episode": np.mean([x.mean(axis=0) for x in by_seed], axis=0).tolist(),
        "first_16_episodes": interval(first_half),
        "first_16_episodes_by_seed": [float(x.mean()) for x in first_half],
        "episodes_9_to_16_minus_first": interval(rise),
        "training": returns(root / "stateless-cartpole" / model),
    }


def measure(root: Path) -> dict[str, Any]:
    seconds = root / "seconds.json"
    return {
        "memory_length": {
            str(n): {m: returns(root / "memory-length" / f"{n}-{m}") for m in MODELS}
            for n in LENGTHS
        },
        "memory_length_seconds_per_update": (
            json.loads(seconds.read_text()) if seconds.exists() else None
        ),
        "stateless_cartpole": {m: cartpole(root, m) for m in CARTPOLE_MODELS},
        "repeat_previous": {m: returns(root / "repeat-previous" / m) for m in POPGYM_MODELS},
        "jax": jax.__version__,
        "backend": jax.default_backend(),
    }


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def final_and_mmer(result: dict[str, Any] | None) -> str:
    if result is None:
        return "not run"
    return f"{result['final_return']:.2f} ({result['mmer']:.2f})"


def with_interval(value: list[float]) -> str:
    return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"


def memory_length_part(results: dict[str, Any]) -> str:
    names = [m.upper() for m in MODELS]
    by_length = results["memory_length"]
    rows = [[n, *(final_and_mmer(by_length[n][m]) for m in MODELS)] for n in by_length]
    text = f"""## Memory length

bsuite's memory chain (`MemoryChain-bsuite`): one bit is shown at the start, and the last action,
`length` steps later, pays 1 for naming it and -1 otherwise. Preset `memory-length-cpu`:
{MEMORY_UPDATES} updates of 64 episodes for every length and model (width 32, 2 layers), 2 seeds.
Mean return at the end of training; in brackets MMER.

{table(["length", *names], rows)}

The paper (A2C): S5 solves lengths up to 512, LSTM up to 8. The observation holds the time that is
left, as bsuite's does."""
    seconds = results["memory_length_seconds_per_update"]
    if seconds:
        rows = [[n, *(f"{1000 * seconds[n][m]:.0f}" for m in MODELS)] for n in seconds]
        text += f"""

Milliseconds of an update (64 episodes of acting, 4 epochs of learning) of one agent on the CPU,
median of 3:

{table(["length", *names], rows)}"""
    return text


def cartpole_part(results: dict[str, Any]) -> str:
    found = {m: x for m, x in results["stateless_cartpole"].items() if x is not None}
    episodes = (1, 2, 4, 8, 16, 24, 32)
    rows = [
        [m.upper(), *(f"{x['by_episode'][k - 1]:.2f}" for k in episodes)] for m, x in found.items()
    ]
    for m, paper in PAPER_CARTPOLE.items():
        cells = [f"{paper[k]:.2f}" if k in paper else "" for k in episodes]
        rows.append([f"{m.upper()}, paper", *cells])
    inside = [
        [
            m.upper(),
            with_interval(x["first_16_episodes"]),
            ", ".join(f"{value:.3f}" for value in x["first_16_episodes_by_seed"]),
            with_interval(x["episodes_9_to_16_minus_first"]),
        ]
        for m, x in found.items()
    ]
    return f"""## StatelessCartPole in context

`RandomProjection-StatelessCartPole-v0`: trials of 16 episodes in training, {CARTPOLE_EPISODES} in
evaluation. Preset `stateless-cartpole-cpu`: {CARTPOLE_STEPS:,} steps. Final checkpoints,
{CARTPOLE_TRIALS} trials per seed; mean return by episode. The paper's figures are read from its
plot, and had a larger budget.

{table(["episode", *map(str, episodes)], rows)}

Mean of episodes 1 to 16, each seed's, and the rise inside the trial (episodes 9 to 16 less the
first), with 95 % bootstrap intervals over trials, stratified by seed:

{table(["", "episodes 1-16", "by seed", "rise"], inside)}

Without `--ppo.stop-at-termination` nothing is learned here. The task pays for every step, and a
trial goes on with the next episode when one fails; its end is a time limit, from which the value is
bootstrapped. So the sum of rewards is the same whatever the agent does."""


def popgym_part(results: dict[str, Any]) -> str:
    rows = [
        [
            m.upper(),
            f"{x['final_return']:.2f}",
            ", ".join(f"{value:.2f}" for value in x["final_return_by_seed"]),
            f"{x['mmer']:.2f}",
        ]
        for m, x in results["repeat_previous"].items()
        if x is not None
    ]
    return f"""## RepeatPrevious

`{POPGYM_ENV}` (name the card of 32 steps ago; returns in [-1, 1]). Preset `popgym-cpu`
with `{" ".join(POPGYM_FLAGS)}`; the same
steps, width and layers for each model. An action is paid for at once, hence the short horizon.

{table(["", "final return", "by seed", "MMER"], rows)}

The paper on Hard (64 steps ago, 15 million steps), MMER: S5 0.91, GRU -0.46, MLP -0.48."""


def report(root: Path) -> None:
    results = measure(root)
    (DOCS / "popgym-results.json").write_text(json.dumps(results, indent=1) + "\n")
    parts = [memory_length_part(results), cartpole_part(results), popgym_part(results)]
    text = f"""# The paper's smaller experiments, on a CPU

Lu et al. 2023 beside its main benchmark, at budgets that two CPU cores have. Written by
`experiments/popgym.py`, which also trains the runs; all numbers are in `popgym-results.json`. Final
returns are means over the last {100 * summary.FINAL_PART:.0f} % of updates.

{summary.MMER}

{(chr(10) * 2).join(parts)}
"""
    (DOCS / "popgym-results.md").write_text(text)


def main() -> None:
    actions = {"train": train, "time": time_updates, "report": report}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("action", choices=actions)
    parser.add_argument("root", type=Path, help="folder of the runs")
    arguments = parser.parse_args()
    actions[arguments.action](arguments.root)


if __name__ == "__main__":
    main()
