"""How a trained agent does on what it never trained on: tasks, projections, trial lengths.

The frozen protocol, with controls and intervals, is `metaenvs evaluate runs/example`.
"""

from pathlib import Path

import metaenvs
from agents.runs import evaluate
from agents.runs.run_folder import RunFolder
from metaenvs import evaluation

EPISODES = 4  # longer trials than the demo preset trains on
CONDITIONS = {  # split and projection family
    "as in training": ("train", "orthogonal"),
    "tasks never trained on": ("held_out", "orthogonal"),
    "projections never trained on": ("train", "gaussian"),
    "both": ("held_out", "gaussian"),
}


def main(run: str = "runs/example", trials: int = 32) -> None:
    policy, trainer, updates = evaluate.load(RunFolder.open(Path(run)))
    print(f"{run} after {updates} updates; mean return by episode, random policy in brackets")
    random = evaluation.RandomPolicy(trainer.env.action_size)
    for name, (split, projection) in CONDITIONS.items():
        env, _ = metaenvs.make(
            trainer.config.env, split=split, projection=projection, episodes_per_trial=EPISODES
        )
        by_episode = [
            evaluation.run_trials(who, env, env.splits[split], trials_per_task=trials, seed=0)
            .returns_by_episode(EPISODES)
            .mean((0, 1))
            for who in (policy, random)
        ]
        row = "  ".join(f"{a:6.1f} ({r:5.1f})" for a, r in zip(*by_episode, strict=True))
        print(f"{name:30s} {row}")


if __name__ == "__main__":
    main()
