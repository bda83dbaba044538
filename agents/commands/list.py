"""`metaenvs list`: what can be made."""

import argparse

from agents.screen.console import console, show_suites
from metaenvs import popgym, projections, tasks


def main(argv: list[str]) -> None:
    argparse.ArgumentParser(prog="metaenvs list").parse_args(argv)
    show_suites()
    console.print(f"Projection families: {', '.join(projections.FAMILIES)}", soft_wrap=True)
    console.print(f"Tasks: {', '.join(tasks.task_names)}", soft_wrap=True)
    console.print(f"Tasks of Brax: {', '.join(tasks.brax_task_names)}", soft_wrap=True)
    console.print(
        f"POPGym: popgym-GAMELEVEL-v0, LEVEL one of {', '.join(popgym.LEVELS)} and GAME one of "
        f"{', '.join(popgym.GAMES)}",
        soft_wrap=True,
    )
    console.print("Any id of gymnax.registered_envs can be made too.")
