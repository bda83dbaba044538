"""Make a finished, evaluated run an agent that comes with the package.

python -m agents.pretrained.export runs/NAME s5-random-projection-v0
"""

import argparse
import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

import metaenvs
from agents import config as configs
from agents import pretrained
from agents.config import TrainConfig
from agents.failures import RunError
from agents.learner.trainer import Trainer
from agents.runs import run_folder, sums
from agents.runs.run_folder import RunFolder
from agents.trees import by_name
from metaenvs.statistics import Interval


def export(run: RunFolder, name: str, root: Path = pretrained.FOLDER) -> Path:
    """Write the folder of the agent `name` below `root`, whole or not at all; returns it.

    Raises:
        RunError: if the run is not finished and evaluated, or there is such an agent.
    """
    with new(root / name) as unfinished:
        for file in ("summary.json", "evaluation.json"):
            if not (run.path / file).exists():
                raise RunError(f"{run.path} has no {file}: train to the end and evaluate it first")
        trainer = Trainer(run.config)
        update, arrays = parameters(run, trainer)
        result = json.loads((run.path / "evaluation.json").read_text())
        text = card(name, run, trainer, update, arrays, result)
        write(unfinished, run.config, update, arrays, text)
        if run_folder.extended(run.path):
            shutil.copy(run.path / run_folder.EXTENDED, unfinished)
    return root / name


@contextmanager
def new(folder: Path) -> Iterator[Path]:
    """Where to write the files of an agent that comes to be `folder`, whole or not at all.

    Raises:
        RunError: if there is such an agent.
    """
    if folder.exists():
        raise RunError(f"{folder} exists; a published agent does not change: name another")
    unfinished = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        sums.write(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def parameters(run: RunFolder, trainer: Trainer) -> tuple[int, dict[str, np.ndarray]]:
    """Updates of a run, and its network's parameters by their dotted names."""
    update, agent = run.restore_agent(trainer.state_shapes().agent())
    return update, {path: np.asarray(leaf) for path, leaf in by_name(agent).items()}


def write(
    folder: Path, config: TrainConfig, update: int, arrays: dict[str, np.ndarray], card: str
) -> None:
    """The files that every agent of the package has, but for their sums."""
    (folder / "config.json").write_text(configs.to_json(config))
    np.savez(folder / "params.npz", update=update, **arrays)  # type: ignore[arg-type]
    (folder / "card.md").write_text(card)


def card(
    name: str,
    run: RunFolder,
    trainer: Trainer,
    update: int,
    arrays: dict[str, np.ndarray],
    result: dict[str, Any],
) -> str:
    """The model card, in Markdown."""
    config = run.config
    fresh = [e for e in result["cells"] if e["condition"] == "fresh" and e["policy"] == "agent"]
    rows = [
        f"| {entry['split'].replace('_', ' ')} | {task} | {Interval(**x['return']).shown(0)} | "
        f"{Interval(**x['score']['mean']).shown() if x['score'] else '-'} |"
        for entry in fresh
        for task, x in entry["tasks"].items()
    ]
    protocol = result["protocol"]
    size = sum(x.size for x in arrays.values())
    episodes, trials = result["own_episodes"], protocol["trials_per_task"]
    return f"""# {name}

{config.model.memory.upper()} agent of {config.model.layers} layers x {config.model.width}
({size:,} parameters), trained by PPO on the training tasks of
`{config.env}` behind `{trainer.env.projection}` projections.

- {_training(config, update * trainer.steps_per_update, result)}; all settings: `config.json`.
- metaenvs {metaenvs.__version__}, jax {jax.__version__} on {jax.default_backend()},
  Python {platform.python_version()}.
- It sees ({", ".join(config.observe)}) besides the projected observation. Its memory is to be
  emptied where a trial is truncated, and nowhere else.

Protocol `{protocol["id"]}`: return of the first {episodes} episode(s) of {trials} trials per task
behind projections not seen in training, and score (0: random policy, 1: single-task expert without
projection), with 95 % intervals over trials. It is one agent of one seed: for comparisons train
several.

| split | task | return | score |
|---|---|---|---|
{chr(10).join(rows)}

`metaenvs evaluate --pretrained {name} --out FOLDER` repeats this.
"""


def _training(config: TrainConfig, steps: int, result: dict[str, Any]) -> str:
    """How long it was trained, and from where."""
    text = f"{steps:,} steps"
    if config.hold > 1:
        text += f" ({steps // config.hold:,} decisions, each held for {config.hold})"
    text += f", seed {config.seed}"
    if config.init_from is not None:
        frames = result["agent"].get("frames", steps)
        text += f", from the parameters of `{config.init_from}`: with its training {frames:,} steps"
    before = result["agent"].get("extended_from")
    if before:
        text += f", extended after {', '.join(f'{n:,}' for n in before)} steps"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("name", help="of the agent")
    arguments = parser.parse_args()
    try:
        print(f"wrote {export(RunFolder.open(arguments.run), arguments.name)}")
    except RunError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
