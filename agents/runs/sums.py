"""SHA-256 sums of the files in a folder, in a file that `sha256sum -c` reads."""

import hashlib
from pathlib import Path

from metaenvs import files

SUMS = "files.sha256"


def write(folder: Path) -> None:
    """List the sums of all files below `folder` in it, all at once."""
    listed = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = "".join(f"{_sha256(p)}  {p.relative_to(folder)}\n" for p in listed)
    files.write_text(folder / SUMS, lines)


def fault(folder: Path) -> str | None:
    """What is wrong with the files listed; None if nothing is."""
    if not (folder / SUMS).exists():
        return f"{SUMS} is missing"
    for line in (folder / SUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        if not (folder / name).is_file():
            return f"{name} is missing"
        if _sha256(folder / name) != digest:
            return f"{name} has changed"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
