"""Evaluations of reference agents that come with the package, to be put beside one's own.

`python -m results.baselines` makes them: NAME.SEED.json.xz, with numbers of three significant
digits, which is what a report shows.
"""

from pathlib import Path

from metaenvs import errors

FOLDER = Path(__file__).parent / "baselines"


def names() -> tuple[str, ...]:
    """The names of all baselines that come with the package."""
    return tuple(sorted({path.name.split(".")[0] for path in FOLDER.glob("*.json.xz")}))


def paths(name: str) -> list[Path]:
    """Evaluation files of the agent called `name`, one for each of its seeds.

    Raises:
        ValueError: if there is no such agent; the message lists all.
    """
    files = {each: sorted(FOLDER.glob(f"{each}.*.json.xz")) for each in names()}
    return errors.lookup(files, name, "baseline")
