"""The anchors of the normalised score: what random actions and an expert return.

    python -m agents.anchors --out runs/anchors

An expert is an agent trained on one task alone behind the `identity` projection, by our
PPO; its most likely action is taken when it is measured. Training goes on where it was
stopped. The table that the evaluation reads is then written anew, with what was measured
now in the place of what it held before. With --publish each becomes the agent `expert-TASK`
of the package instead, and the table stays as it is.
"""

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

import metaenvs
from agents import pretrained
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.learner.trainer import Trainer
from agents.pretrained import export
from agents.runs import evaluate, loop
from agents.runs.held import Held
from agents.runs.run_folder import RunFolder
from agents.screen.console import console
from metaenvs import errors, files
from metaenvs.evaluation import RandomPolicy, run_trials
from metaenvs.evaluation import reference_scores as anchors
from metaenvs.statistics import Interval, interval
from metaenvs.suites import SUITES

SUITE = "RandomProjection-v0"
"""Whose tasks and sizes the experts have."""
OBS_SIZE, ACTION_SIZE = 12, 2
EPISODES = 512
TABLE = Path(anchors.__file__).with_name("anchors.json")
SEED = 813
"""Of the measured episodes; not the protocol's."""

_MLP = ModelConfig(memory="mlp", layers=0, width=64, encoder=(64,), head=(64,))
_GRU = ModelConfig(memory="gru", layers=1, width=64, encoder=(64,), head=(64,))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a task's expert is trained.

    Attributes:
        millions: of steps.
        action_repeat: for how many control steps an action is held. It is a policy of the
            same task without repeat, and explores better.
        observe: what it sees besides the task.
    """

    millions: float
    action_repeat: int = 4
    learning_rate: float = 3e-3
    gamma: float = 0.99
    entropy_coef: float = 0.003
    model: ModelConfig = _MLP
    observe: tuple[str, ...] = ()

    def config(self, task: str) -> TrainConfig:
        """The settings of the run; its environment is made known by `_register`."""
        per_step = 1 - self.gamma  # of a reward of 1 in every control step: values near 2.5
        return TrainConfig(
            env=_env_id(task),
            observe=self.observe,
            steps=round(self.millions * 1e6),
            envs=64,
            checkpoint_every=50,
            keep_checkpoints=2,
            model=self.model,
            ppo=PPOConfig(
                learning_rate=self.learning_rate,
                gamma=self.gamma,
                entropy_coef=self.entropy_coef,
                reward_scale=2.5 * per_step / self.action_repeat,
                minibatches=8,
            ),
        )


RECIPES: dict[str, Recipe] = {
    "ball_in_cup_catch": Recipe(8),
    "cartpole_balance": Recipe(4),
    "cartpole_swingup": Recipe(5, learning_rate=1e-3, gamma=0.98),
    "finger_spin": Recipe(16, action_repeat=2),
    "finger_turn_easy": Recipe(24, learning_rate=1e-3, entropy_coef=0.01),
    "finger_turn_hard": Recipe(30, learning_rate=1e-3, entropy_coef=0.01),
    "pendulum_swingup": Recipe(
        5, action_repeat=8, learning_rate=1e-3, gamma=0.98, entropy_coef=0.02
    ),
    "point_mass_easy": Recipe(8),
    # Every episode draws the directions in which the actuators push: without memory it
    # cannot be solved.
    "point_mass_hard": Recipe(20, model=_GRU, observe=("action",)),
    "reacher_easy": Recipe(10),
    "reacher_hard": Recipe(16),
}

PUBLISHED: dict[str, Recipe] = {
    # Held for two control steps the expert spins faster, but no guide of an agent that holds for
    # four: its actions, held for so long, return 143 instead of 563.
    task: Recipe(24) if task == "finger_spin" else RECIPES[task]
    for task in SUITES[SUITE].train
}
"""How the experts that come with the package were trained: as guides of others
(`agents.learner.guidance`), on the training tasks of `SUITE`."""

OPTIMA: dict[str, float] = {
    # Paid 1 / 200 for each of 200 steps. The velocities are differences of what is seen, and
    # a linear controller of all four numbers never lets the pole fall.
    "stateless_cartpole": 1.0,
}
"""Tasks whose best return is known: it stands for an expert's, and nothing is trained."""


def _env_id(task: str) -> str:
    return f"Expert-{task}"


def environment(
    task: str, action_repeat: int, observe: tuple[str, ...] = ()
) -> metaenvs.RandomProjection:
    """One task as the `identity` cells of `RandomProjection-v0` show it, one episode a trial."""
    return metaenvs.RandomProjection(
        [task],
        obs_size=OBS_SIZE,
        action_size=ACTION_SIZE,
        projection="identity",
        action_repeat=action_repeat,
        observe=observe,
        splits={"train": (task,)},
        name=_env_id(task),
    )


def _register(task: str, recipe: Recipe) -> None:
    if _env_id(task) not in metaenvs.registered_envs:

        def make(observe: tuple[str, ...]) -> metaenvs.RandomProjection:
            return environment(task, recipe.action_repeat, observe)

        metaenvs.register(_env_id(task), make)


def train(task: str, recipe: Recipe, out: Path) -> RunFolder:
    """The run of a task's expert, trained to its end."""
    _register(task, recipe)
    run = RunFolder.resume(out / task, recipe.config(task))
    if not loop.train(run):
        raise KeyboardInterrupt
    return run


def measure(policy: Any, env: metaenvs.RandomProjection, episodes: int = EPISODES) -> Interval:
    """The return of an episode, over `episodes` of them."""
    trials = run_trials(policy, env, env.task_names, trials_per_task=episodes, seed=SEED)
    return interval(trials.returns_by_episode(1)[None, ..., 0])


def settings(task: str) -> list[tuple[int, int]]:
    """Action repeat and control steps per episode under which suites use a task."""
    found = set()
    for suite in SUITES.values():
        if task in suite.train + suite.held_out:
            env = suite.make()
            found.add((env.action_repeat, anchors.control_steps(env, task)))
    return sorted(found)


def entries(task: str, recipe: Recipe, run: RunFolder) -> list[dict[str, Any]]:
    """The lines of the table for a task, one for each setting that its expert can act in."""
    policy, trainer, update = evaluate.load(run, deterministic=True)
    out = []
    for action_repeat, steps in settings(task):
        if recipe.action_repeat % action_repeat:
            continue
        env = environment(task, action_repeat, recipe.observe)
        expert = Held.on(policy, recipe.action_repeat // action_repeat, env)
        out.append(
            {
                "task": task,
                "control_steps": steps,
                "action_repeat": action_repeat,
                "random": dataclasses.asdict(measure(RandomPolicy(ACTION_SIZE), env)),
                "expert": dataclasses.asdict(measure(expert, env)),
                "episodes": EPISODES,
                "trained": {
                    "steps": update * trainer.steps_per_update,
                    "seed": run.config.seed,
                    "seconds": round(sum(line["seconds"] for line in run.read_metrics())),
                    **_recipe_as_json(recipe),
                },
                **_when(),
            }
        )
    return out


def measured(task: str, out: Path) -> list[dict[str, Any]]:
    """The lines of the table for a task whose expert is trained in `out`."""
    recipe = RECIPES[task]
    return entries(task, recipe, train(task, recipe, out))


def known(task: str) -> list[dict[str, Any]]:
    """The lines of the table for a task of `OPTIMA`, one for each suite that has it."""
    best = Interval(*[OPTIMA[task]] * 3)
    out = []
    for suite in SUITES.values():
        if task not in suite.own:
            continue
        env = suite.make(projection="identity", episodes_per_trial=1, observe=())
        out.append(
            {
                "task": task,
                "control_steps": anchors.control_steps(env, task),
                "action_repeat": env.action_repeat,
                "random": dataclasses.asdict(measure(RandomPolicy(env.action_size), env)),
                "expert": dataclasses.asdict(best),
                "episodes": EPISODES,
                "trained": None,
                **_when(),
            }
        )
    return out


def packaged(task: str, config: TrainConfig) -> TrainConfig:
    """The settings of an expert's run, as ones of `SUITE` behind the identity, whose action is
    held for the recipe's steps: what `agents.load` makes it act in."""
    hold = PUBLISHED[task].action_repeat
    tasks = metaenvs.make(SUITE)[0].task_names
    return dataclasses.replace(
        config,
        env=SUITE,
        env_params={f"task_weights.{name}": float(name == task) for name in tasks},
        projection="identity",
        hold=hold,
        steps=config.steps * hold,
    )


def publish(task: str, run: RunFolder, root: Path = pretrained.FOLDER) -> Path:
    """Make the expert of a task an agent of the package; returns its folder.

    Raises:
        RunError: if there is such an agent.
    """
    recipe = PUBLISHED[task]
    with export.new(root / f"expert-{task}") as folder:
        (line,) = [each for each in entries(task, recipe, run) if each["action_repeat"] == 1]
        config = packaged(task, run.config)
        update, arrays = export.parameters(run, Trainer(run.config))
        export.write(folder, config, update, arrays, card(task, config, arrays, line))
    return root / f"expert-{task}"


def card(
    task: str, config: TrainConfig, arrays: dict[str, np.ndarray], line: dict[str, Any]
) -> str:
    """The model card of an expert, in Markdown; `line` is of `entries`."""
    steps = line["trained"]["steps"]
    random, expert = (Interval(**line[who]).shown() for who in ("random", "expert"))
    size = sum(x.size for x in arrays.values())
    return f"""# expert-{task}

{config.model.memory.upper()} expert of `{task}` alone ({size:,} parameters), trained by PPO behind
the `identity` projection of `{SUITE}`'s sizes. Each action is held for {config.hold} control steps.

- {steps:,} decisions, {steps * config.hold:,} frames, seed {config.seed}; settings: `config.json`.
- It sees {" and ".join(("the observation", *config.observe))}, and nothing else.
- Return of {EPISODES} episodes, taking its most likely action, with 95 % intervals: {expert};
  random actions: {random}.
- It is that of `python -m agents.anchors --publish --tasks {task} --out FOLDER`, and another run
  than the one behind the reference score in `anchors.json`.
"""


def _when() -> dict[str, Any]:
    return {
        "date": datetime.date.today().isoformat(),
        "versions": {"metaenvs": metaenvs.__version__, "jax": jax.__version__},
    }


def _recipe_as_json(recipe: Recipe) -> dict[str, Any]:
    values = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
    del values["millions"]
    return values | {"model": recipe.model.memory, "observe": list(recipe.observe)}


def write(found: list[dict[str, Any]], path: Path) -> None:
    """Put the lines into the table at `path`; others stay as they are."""
    key = ("task", "control_steps", "action_repeat")
    table = {tuple(line[k] for k in key): line for line in _read(path)}
    table |= {tuple(line[k] for k in key): line for line in found}
    content = {
        "command": "python -m agents.anchors",
        "anchors": [table[k] for k in sorted(table)],
    }
    files.write_text(path, json.dumps(content, indent=1) + "\n")


def _read(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text())["anchors"]) if path.exists() else []


@dataclasses.dataclass(frozen=True)
class Command:
    """Train the experts of the normalised score, measure them and random actions."""

    out: Path
    """Folder of the experts' runs."""
    tasks: tuple[str, ...] = ()
    """Tasks to measure, by default all: those of the table, or with --publish those of the
    package's experts."""
    table: Path = TABLE
    """The table to write the anchors into."""
    publish: bool = False
    """Make agents of the package of the experts, and leave the table alone."""


def main(argv: list[str] | None = None) -> None:
    command = tyro.cli(Command, args=argv, prog="python -m agents.anchors", description=__doc__)
    choices = dict.fromkeys(PUBLISHED if command.publish else (*RECIPES, *OPTIMA))
    tasks = command.tasks or tuple(choices)
    for task in tasks:
        errors.lookup(
            choices, task, "task with an expert" if command.publish else "task with an anchor"
        )
    for task in tasks:
        if command.publish:
            run = train(task, PUBLISHED[task], command.out)
            console.print(f"wrote {publish(task, run)}", soft_wrap=True)
            continue
        found = known(task) if task in OPTIMA else measured(task, command.out)
        write(found, command.table)
        for line in found:
            console.print(
                f"{task}, action repeat {line['action_repeat']}: random "
                f"{line['random']['value']:.4g}, expert {line['expert']['value']:.4g}",
                soft_wrap=True,
            )


if __name__ == "__main__":
    main()
