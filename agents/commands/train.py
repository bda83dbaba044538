"""`metaenvs train`: train the reference agent into a run folder."""

import argparse
import difflib

from agents.commands import training
from agents.presets import PRESETS


def main(argv: list[str]) -> int:
    # What can be refused or answered without JAX is, before seconds go into importing it.
    first = argparse.ArgumentParser(prog="metaenvs train", add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="demo")
    first.add_argument("--coordinator")
    first.add_argument("--processes", type=int)
    first.add_argument("--process-id", "--process_id", type=int)
    flags = first.parse_known_args(argv)[0]
    if flags.preset not in PRESETS:
        near = difflib.get_close_matches(flags.preset, PRESETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown preset {flags.preset!r}.{hint} Choices: {', '.join(PRESETS)}")
    command = training.read(argv, flags.preset)
    # Processes are connected before JAX is used, and importing gymnax uses it.
    from agents.learner import parallel

    parallel.connect(flags.coordinator, flags.processes, flags.process_id)
    return training.run(command)
