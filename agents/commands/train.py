"""`metaenvs train`: train the reference agent into a run folder."""

import argparse

from agents.learner import parallel


def main(argv: list[str]) -> int:
    # Processes are connected before JAX is used, and importing gymnax uses it: so these
    # options are looked at first. `training` describes them with all others.
    first = argparse.ArgumentParser(prog="metaenvs train", add_help=False, allow_abbrev=False)
    first.add_argument("--coordinator")
    first.add_argument("--processes", type=int)
    first.add_argument("--process-id", "--process_id", type=int)
    flags = first.parse_known_args(argv)[0]
    parallel.connect(flags.coordinator, flags.processes, flags.process_id)
    from agents.commands import training

    return training.run(argv)
