"""A file is written whole or not at all."""

import ast
from pathlib import Path

import pytest

from metaenvs import files

ROOT = Path(__file__).parent.parent


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.json"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.replacing(path) as unfinished:
        unfinished.write_text("ne")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    files.write_text(path, "new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_nobody_else_puts_one_file_in_the_place_of_another():
    """`path.replace(target)`, which has one argument, stands in one place."""
    found = [
        str(path.relative_to(ROOT))
        for package in ("metaenvs", "agents")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "replace"
        and len(node.args) == 1
        and not node.keywords
    ]
    assert found == ["metaenvs/files.py"]
