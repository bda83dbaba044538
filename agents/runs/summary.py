"""Returns of finished runs: at the end of training, and as POPGym's MMER."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaenvs import files

FINAL_PART = 0.05
"""The final return is the mean over this last part of a run's updates."""

MMER = (
    "MMER: mean over seeds of the maximum over updates of the mean episodic return. "
    "Optimistic: the update is chosen by what is reported. Given because Lu et al. 2023 and "
    "POPGym report it; compare by the final return."
)

Line = dict[str, Any]


def mean_return(line: Line) -> float | None:
    """Mean over tasks of a line of metrics.jsonl; None where some task ended no episode."""
    values = list(line["return"].values())
    return None if None in values else float(np.mean(values))


def last(lines: Sequence[Any], part: float = FINAL_PART) -> Sequence[Any]:
    """The last `part` of what there is of each update, at least one."""
    return lines[-max(round(part * len(lines)), 1) :]


def summarise(runs: Sequence[Sequence[Line]]) -> dict[str, Any]:
    """Final return and MMER of runs that differ in their seeds, from their metrics' lines.

    Raises:
        ValueError: if no update of a run ended an episode of every task.
    """
    final, best = [], []
    for lines in runs:
        returns = [x for x in map(mean_return, lines) if x is not None]
        if not returns:
            raise ValueError("a run ended no episode of some task: it has no return")
        final.append(float(np.mean(last(returns))))
        best.append(max(returns))
    return {
        "seeds": len(final),
        "final_return": float(np.mean(final)),
        "final_return_by_seed": final,
        "mmer": float(np.mean(best)),
        "mmer_is": MMER,
    }


def write(paths: Sequence[Path]) -> str:
    """Write the `summary.json` of runs that differ in their seeds, each in its folder.

    Returns a line about all of them.
    """
    runs = [lines_of(path) for path in paths]
    try:
        for path, lines in zip(paths, runs, strict=True):
            text = json.dumps(summarise([lines]), indent=2) + "\n"
            files.write_text(path / "summary.json", text)
        together = summarise(runs)
    except ValueError as error:
        return str(error)
    return (
        f"return: {together['final_return']:.3g} at the end (mean of the last "
        f"{100 * FINAL_PART:.0f} % of updates), {together['mmer']:.3g} in the best update (MMER, "
        "optimistic)"
    )


def lines_of(path: Path) -> list[Line]:
    """The metrics in a run's folder, an update each."""
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
