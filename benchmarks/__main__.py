"""Run the benchmarks, print their tables, write JSON and plots: see `--help`."""

import argparse
import importlib
import time
from pathlib import Path

from benchmarks import report

BENCHMARKS: tuple[str, ...] = (
    "compile_time",
    "mixture",
    "trial_overhead",
    "against_envpool",
    "contact_tasks",
    "against_python",
    "popgym",
    "throughput",
    "training",
    "sequence_models",
    "s5_parts",
    "seeds",
)
"""Modules of this package, in the order in which they run. Each has a docstring, whose
first line is the question, and `run(quick) -> Result`."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--out", type=Path, required=True, help="folder for JSON and plots")
    parser.add_argument("--quick", action="store_true", help="fewer cases and repetitions")
    args = parser.parse_args()
    for name in args.names:
        if name not in BENCHMARKS:
            parser.error(f"unknown benchmark {name!r}; choices: {', '.join(BENCHMARKS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    missed = []
    for name in args.names or BENCHMARKS:
        try:
            module = importlib.import_module(f"benchmarks.{name}")
        except ModuleNotFoundError as error:
            parser.error(f"{name} needs {error.name}: pip install -e '.[bench]'")
        title = f"{name}: {module.__doc__.splitlines()[0]}"
        start = time.perf_counter()
        result = module.run(args.quick)
        report.show(title, result)
        report.save(name, title, result, args.out)
        report.console.print(f"{time.perf_counter() - start:.0f} s\n")
        missed += [claim for claim in result.claims if not claim.holds]
    for claim in missed:
        report.console.print(str(claim), style="bold red", highlight=False)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
