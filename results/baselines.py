"""The evaluations in agents/report/baselines, made of those in results/runs.

python -m results.baselines
"""

import json
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.report.baselines import FOLDER
from metaenvs import evaluation
from results.data import DATA, MAIN

SEEDS = 3
"""Of each; more would not change what a report says, and make the package larger."""

BASELINES = {"s5": (MAIN, "s5"), "lstm": (MAIN, "lstm"), "mlp": (MAIN, "mlp")}
"""By name in the package: the list of runs, and the run in it."""


def pack(name: str, files: Sequence[Path]) -> None:
    """Write the evaluations of the agent called `name`, of its evaluation files."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob(f"{name}.*.json.xz"):
        old.unlink()
    for i, file in enumerate(files):
        result = evaluation.load(file)
        result = result | {"cells": _rounded(result["cells"])}
        evaluation.validate(result, name)
        text = json.dumps(result, separators=(",", ":"))
        path = FOLDER / f"{name}.{i}.json.xz"
        path.write_bytes(lzma.compress(text.encode(), preset=9))
        print(f"wrote {path}")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.3g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def main() -> None:
    for name, (experiment, run) in BASELINES.items():
        pack(name, sorted((DATA / experiment).glob(f"{run}-seed*.evaluation.json.xz"))[:SEEDS])


if __name__ == "__main__":
    main()
