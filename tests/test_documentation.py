"""The Python blocks of README and docs run as they stand, and their links lead somewhere."""

import html
import re
import tomllib
from pathlib import Path

import pytest

from metaenvs import tasks

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = {page: re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) for page in PAGES}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if BLOCKS[page]], ids=lambda page: page.name
)
def test_python_blocks_run(page):
    """One after the other, as a reader would paste them."""
    names = {"__name__": "documentation"}
    for i, block in enumerate(BLOCKS[page]):
        exec(compile(block, f"{page.name}, block {i}", "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_pages_agree_on_what_is_frozen():
    """What the questions say of an id is what `tests/frozen` holds."""
    frozen = {path.stem for path in (ROOT / "tests/frozen").glob("*.npz")}
    said = re.findall(r"\*\*Is `([\w-]+)` frozen\?\*\* (\w+)", (ROOT / "docs/faq.md").read_text())
    assert said and all((answer == "Yes") == (name in frozen) for name, answer in said)


def test_every_native_task_has_a_picture():
    names = {path.stem for path in (ROOT / "docs/images/tasks").glob("*.png")}
    assert names == set(tasks.task_names), "run scripts/draw_tasks.py"


def test_badges_are_true():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    badges = html.unescape((ROOT / "docs/images/badges.svg").read_text())
    assert f">{project['requires-python']}<" in badges and f">{project['license']}<" in badges
    for name in ("jax", "gymnax"):
        (needed,) = (x for x in project["dependencies"] if re.match(rf"{name}[>=]", x))
        assert f">{name}<" in badges and f">{needed.removeprefix(name)}<" in badges


def test_pictures_of_the_readme_are_small():
    readme = (ROOT / "README.md").read_text()
    files = [ROOT / name for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme)]
    assert len(files) == 3 and sum(file.stat().st_size for file in files) < 500_000
