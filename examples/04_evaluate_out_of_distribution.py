"""How a trained agent does on what it never trained on: tasks, projections, trial lengths.

The frozen protocol, with controls and intervals, is `metaenvs evaluate runs/example`.
"""

from pathlib import Path

import metaenvs
from agents import evaluate
from agents.run_folder import RunFolder
from metaenvs import evaluation

CONDITIONS = {  # split, and keywords of metaenvs.make
    "as in training": ("train", {}),
    "tasks never trained on": ("held_out", {}),
    "projections never trained on": ("train", {"projection": "gaussian"}),
    "no projection": ("train", {"projection": "identity"}),
    "longer trials": ("train", {"episodes_per_trial": 4}),
}


def main(run: str = "runs/example", trials: int = 32) -> None:
    policy, trainer, updates = evaluate.load(RunFolder.open(Path(run)))
    print(f"{run} after {updates} updates; mean return by episode, random policy in brackets")
    random = evaluation.RandomPolicy(trainer.env.action_size)
    for name, (split, keywords) in CONDITIONS.items():
        env, params = metaenvs.make(trainer.config.env, split=split, **keywords)
        by_episode = [
            evaluation.run_trials(who, env, env.splits[split], trials_per_task=trials, seed=0)
            .returns_by_episode(int(params.episodes_per_trial))
            .mean((0, 1))
            for who in (policy, random)
        ]
        row = "  ".join(f"{a:6.1f} ({r:5.1f})" for a, r in zip(*by_episode, strict=True))
        print(f"{name:30s} {row}")


if __name__ == "__main__":
    main()
