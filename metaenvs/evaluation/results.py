"""Results on disk: written whole, checked when read, compared only if they are comparable."""

import json
import lzma
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from metaenvs import errors, files

SCHEMA = 2
"""Version of the layout of results, `schema.json` beside this file."""


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of results."""
    text = resources.files("metaenvs.evaluation").joinpath("schema.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def validate(result: Any, name: str = "the result") -> None:
    """Refuse what is no evaluation of this version's layout.

    Raises:
        ValueError: names the first place where `result` breaks the schema.
    """
    import jsonschema

    found = result.get("schema") if isinstance(result, dict) else None
    if found != SCHEMA:
        raise ValueError(f"{name} is not an evaluation of schema {SCHEMA} (it says {found!r})")
    breach = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema()).iter_errors(result)
    )
    if breach is not None:
        place = "/".join(str(part) for part in breach.absolute_path) or "the top"
        message = breach.message if len(breach.message) < 200 else breach.message[:200] + "..."
        raise ValueError(f"{name} breaks the schema of evaluations at {place}: {message}")


def save(result: dict[str, Any], path: Path) -> None:
    """Write an evaluation; a file already there is replaced only by a whole, valid one.

    Raises:
        ValueError: if `result` breaks the schema.
    """
    result = json.loads(json.dumps(result))
    validate(result)
    files.write_text(path, json.dumps(result, separators=(",", ":")) + "\n")


def load(path: Path) -> dict[str, Any]:
    """Read an evaluation, compressed (`.xz`) or not.

    Raises:
        ValueError: if the file is no whole evaluation of this schema.
    """
    try:
        content = path.read_bytes()
        result = json.loads(lzma.decompress(content) if path.suffix == ".xz" else content)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; `metaenvs evaluate` writes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise ValueError(f"{path} is not a whole JSON file: {error}") from None
    validate(result, str(path))
    return dict(result)


def find(result: dict[str, Any], cell: str, policy: str) -> dict[str, Any]:
    """The entry of one policy in one cell of an evaluation.

    Raises:
        ValueError: if there is none; the message lists all.
    """
    for entry in result["cells"]:
        if (entry["cell"], entry["policy"]) == (cell, policy):
            return dict(entry)
    choices = [f"{e['cell']}: {e['policy']}" for e in result["cells"]]
    raise errors.unknown(f"{cell}: {policy}", choices, "cell and policy")


def check_comparable(results: Sequence[dict[str, Any]], names: Iterable[str]) -> None:
    """Refuse to put side by side what was not measured in the same way.

    Raises:
        ValueError: if two results differ in suite, protocol or anchors; names both files.
    """
    first, *others = zip(results, names, strict=True)
    for other in others:
        for what, value in (
            ("suite", lambda r: r["suite"]),
            ("protocol", lambda r: r["protocol"]["id"]),
            ("protocol's settings", lambda r: r["protocol"]),
            ("anchors", lambda r: r["anchors"]),
        ):
            if value(first[0]) != value(other[0]):
                here, there = value(first[0]), value(other[0])
                said = f": {here!r} and {there!r}" if isinstance(here, str) else ""
                raise ValueError(
                    f"{first[1]} and {other[1]} cannot be compared: they differ in {what}{said}"
                )


class Partial:
    """The finished parts of an evaluation under way, in a file beside its target.

    The first line says what is evaluated, every other one is an entry of `cells`. A line
    that a kill cut short is left out.
    """

    def __init__(self, path: Path, header: dict[str, Any]):
        """
        Raises:
            ValueError: if the file there is of another evaluation; names the difference.
        """
        self._path = path
        self._entries: dict[tuple[str, str], dict[str, Any]] = {}
        header = json.loads(json.dumps(header))
        lines = _whole_lines(path)
        if lines:
            different = [key for key in header if header[key] != lines[0].get(key)]
            if different:
                raise ValueError(
                    f"{path} is an unfinished evaluation of something else (its "
                    f"{', '.join(different)} differ); delete it to start anew"
                )
            self._entries = {(entry["cell"], entry["policy"]): entry for entry in lines[1:]}
        # Written anew: what was cut short is gone.
        files.write_text(path, "".join(json.dumps(x) + "\n" for x in (header, *lines[1:])))

    def find(self, cell: str, policy: str) -> dict[str, Any] | None:
        """The entry, if it was finished before."""
        return self._entries.get((cell, policy))

    def add(self, entry: dict[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines
