"""`metaenvs list`: what can be made, trained and measured."""

import argparse
from collections.abc import Iterable

from agents import pretrained, sequence_models
from agents.presets import PRESETS
from agents.screen.console import console
from metaenvs import popgym, projections, tasks
from metaenvs.evaluation.protocol import PROTOCOLS
from metaenvs.suites import SUITES, Suite
from metaenvs.trial import OBSERVE


def main(argv: list[str]) -> None:
    argparse.ArgumentParser(
        prog="metaenvs list", description="Show suites, tasks, presets, agents, models, protocols."
    ).parse_args(argv)
    for suite in SUITES.values():
        _show_suite(suite)
    _show("Projection families", projections.FAMILIES)
    _show("Tasks", tasks.task_names)
    _show("Tasks of Brax", tasks.brax_task_names)
    _show("POPGym games (popgym-GAMELEVEL-v0)", popgym.GAMES)
    _show("POPGym levels", popgym.LEVELS)
    _show("Presets of `metaenvs train`", PRESETS)
    _show("Sequence models", sequence_models.MODELS)
    _show("Agents that come with the package", pretrained.names())
    _show("Protocols", PROTOCOLS)
    console.print("Any id of gymnax.registered_envs can be made too.", highlight=False)


def _show_suite(suite: Suite) -> None:
    # Of the table alone: making an environment of Brax's takes seconds.
    observed = suite.obs_size + suite.action_size + len(OBSERVE) - 1
    episodes, steps = suite.episodes_per_trial, suite.episode_steps
    console.print(f"[bold]{suite.id}[/bold]  {suite.summary}", soft_wrap=True)
    for heading, value in (
        ("train", ", ".join(suite.train)),
        ("held out", ", ".join(suite.held_out)),
        (
            "sizes",
            f"observation {observed} (projected {suite.obs_size}), action {suite.action_size}",
        ),
        *(
            (f"dynamics, {split}", ", ".join(f"{k} x {a}-{b}" for k, (a, b) in r.items()))
            for split, r in suite.dynamics.items()
        ),
        ("projection", suite.projection),
        ("trial", f"{episodes} episode(s), {episodes * steps} steps"),
    ):
        console.print(f"  {heading:<19} {value}", soft_wrap=True, highlight=False)
    console.print()


def _show(what: str, names: Iterable[str]) -> None:
    console.print(f"{what}: {', '.join(names)}", soft_wrap=True, highlight=False)
