"""Imports go downward only, as the picture in docs/extending.md says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PICTURE = re.search(r"```text\n(.*?)```", (ROOT / "docs/extending.md").read_text(), re.DOTALL)[1]
# `a, b   what they are`: rooms end where two spaces begin.
LAYERS = [re.split(r"\s{2,}", line)[0].split(", ") for line in PICTURE.splitlines()]
ROOMS = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("metaenvs", "agents")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def room_of(module: str) -> str:
    """`agents.runs` of `agents.runs.loop`; the package itself is a room, too."""
    return ".".join(module.split(".")[:2])


def imports(path: Path) -> Iterator[str]:
    """Modules that a file names in its imports, wherever they stand in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}: imports are absolute"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in MODULES else node.module


def test_every_room_is_in_the_picture_and_is_there():
    assert set(ROOMS) == {room_of(module) for module in MODULES}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_downward(room):
    for module, path in MODULES.items():
        if room_of(module) != room:
            continue
        for imported in imports(path):
            other = room_of(imported)
            assert imported.split(".")[0] not in ("results", "benchmarks", "tests", "scripts")
            if other in ROOMS and other != room:
                assert ROOMS[other] > ROOMS[room], f"{module} imports {imported}"
