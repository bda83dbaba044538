"""The commands of `metaenvs`: a module each, whose `main(argv)` runs it."""

COMMANDS: dict[str, tuple[str, str]] = {
    "list": (
        "list",
        "suites, tasks, presets, agents, sequence models, protocols",
    ),
    "train": (
        "train --preset NAME",
        "train an agent into a run folder",
    ),
    "evaluate": (
        "evaluate RUN",
        "score a run, an agent of the package or (--policy FILE.py:NAME) your own",
    ),
    "render": (
        "render --task NAME --out FILE.gif",
        "animate a trial, of a random or (--run RUN) a trained agent",
    ),
    "report": (
        "report RUN [RUN ...]",
        "compare evaluated runs on one self-contained page, with figures and tables",
    ),
    "check": (
        "check FILE",
        "check an evaluation before it is submitted to the leaderboard",
    ),
    "experiment": (
        "experiment FILE --out DIR",
        "train and evaluate all runs that a file lists, going on after any interruption",
    ),
    "bench": (
        "bench [ENV ...] [--json]",
        "measure environment steps per second",
    ),
}
"""Module in this package -> how it is called, what it does."""
