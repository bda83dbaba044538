"""Writes the pages of the site into a folder, from which MkDocs builds it.

    python scripts/site.py build/docs

They are those of docs/, and beside them pages that are made of the code, so that they cannot go
stale:

* the home page, contributing and changelog of the files of those names;
* tasks and suites of the tables and class docstrings in metaenvs;
* examples of the files in examples/, and the tour of the notebook there.

Links of the repository's files are turned into links inside the site. Names of tasks at the head of
a table may be broken into lines.
"""

import ast
import inspect
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import metaenvs
from metaenvs import tasks
from metaenvs.suites import SUITES

ROOT = Path(__file__).parent.parent
COPIED = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
# Links out of docs/, to what the site has instead. Files that it lacks become plain text.
LINKS = (
    (r"\]\((?:\.\./)?docs/([^)]+)\)", r"](\1)"),
    (r"\]\((?:\.\./)?examples/tour\.ipynb\)", "](tour.md)"),
    (r"\]\((?:\.\./)?examples/(?:ecosystem/)?(\w+)\.py\)", r"](examples.md#\1)"),
    (r"\]\((?:\.\./)?(CONTRIBUTING|CHANGELOG)\.md\)", lambda m: f"]({m[1].lower()}.md)"),
    (r"\[([^\]]+)\]\((?:\.\./)?(?!https?:|#|[\w/-]+\.(?:md|svg|png|gif)\b)[^)]+\)", r"\1"),
)
# Heads of tables.
HEAD = (
    r"(?m)^\|[^`\n]*\|(?=\n\|[-:| ]+\|$)",
    lambda head: re.sub(r"(?<=\w)_(?=\w)", "_<wbr>", head[0]),
)


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    pages = {path.name: path.read_text() for path in folder.glob("*.md")}
    pages |= {to: (ROOT / source).read_text() for to, source in COPIED.items()}
    pages |= {"tasks.md": tasks_page(), "suites.md": suites_page()}
    pages |= {"examples.md": examples_page(), "tour.md": tour_page()}
    for name, text in pages.items():
        (folder / name).write_text(for_the_site(text))


def for_the_site(page: str) -> str:
    parts = re.split(r"(```.*?```)", page, flags=re.DOTALL)  # code stays as it is
    for pattern, instead in (*LINKS, HEAD):
        parts[::2] = [re.sub(pattern, instead, text) for text in parts[::2]]
    return "".join(parts)


def tasks_page() -> str:
    domains: dict[type, list[str]] = {}
    for name in tasks.task_names:
        domains.setdefault(type(tasks.make(name)), []).append(name)
    page = [
        "# Tasks",
        "Every native task, with the docstring of its class as its specification. "
        "[`metaenvs.tasks.make(name)`](api.md) makes one: a Gymnax environment of its own. "
        "Below each: four moments of an episode with random actions.",
    ]
    for cls, names in domains.items():
        page += [f"## {cls.__name__}", inspect.getdoc(cls) or ""]
        for name in names:
            page.append(f"### {name}")
            if (ROOT / "docs/images/tasks" / f"{name}.png").exists():
                page.append(f"![{name}](images/tasks/{name}.png)")
            page += [_params(tasks.make(name).default_params)]
    return "\n\n".join(page) + "\n"


def _params(params: Any) -> str:
    rows = "".join(f"| `{k}` | {v} |\n" for k, v in vars(params).items())
    return '??? note "Parameters"\n\n' + _indent(f"| parameter | value |\n|---|---|\n{rows}")


def _indent(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def suites_page() -> str:
    page = [
        "# Suites",
        "A suite is a versioned id: tasks, splits, projection family and sizes. "
        '`metaenvs.make(id)` makes its training split, `split="held_out"` the other. '
        "The tasks are described [here](tasks.md).",
    ]
    for suite in SUITES.values():
        env, params = metaenvs.make(suite.id)
        rows = {
            "train": ", ".join(_task_link(t) for t in suite.train),
            "held out": ", ".join(_task_link(t) for t in suite.held_out),
            "observation": f"{env.observation_size} = {suite.obs_size} projected + previous "
            "action, reward, end of episode",
            "action": f"{suite.action_size}",
            "projection": f"`{suite.projection}`",
            "episodes per trial": f"{suite.episodes_per_trial}",
            "action repeat": f"{suite.action_repeat}",
            "longest trial": f"{env.trial_length(params)} steps",
        }
        for split, ranges in suite.dynamics.items():
            rows[f"dynamics, {split}"] = ", ".join(
                f"{k} {a} to {b}" for k, (a, b) in ranges.items()
            )
        table = "".join(f"| {k} | {v} |\n" for k, v in rows.items())
        page += [f"## {suite.id}", suite.summary, f"| | |\n|---|---|\n{table}"]
    return "\n\n".join(page) + "\n"


def _task_link(name: str) -> str:
    return f"[{name}](tasks.md#{name})" if name in tasks.task_names else name


def examples_page() -> str:
    page = ["# Examples", "Each runs as it stands, and in small in the tests."]
    for path in sorted((ROOT / "examples").rglob("*.py")):
        source = path.read_text()
        about = ast.get_docstring(ast.parse(source)) or ""
        shown = source[source.index('"""', 3) + 3 :].strip()
        page += [
            f"## {path.stem.replace('_', ' ')} {{ #{path.stem} }}",
            about,
            f'??? example "`{path.relative_to(ROOT)}`"\n\n' + _indent(f"```python\n{shown}\n```"),
        ]
    return "\n\n".join(page) + "\n"


def tour_page() -> str:
    """The notebook's text and code; who opens the notebook sees what they print."""
    page = ["`examples/tour.ipynb`, a notebook, as it reads:"]
    for cell in json.loads((ROOT / "examples/tour.ipynb").read_text())["cells"]:
        text = "".join(cell["source"])
        page.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join([page[1], page[0], *page[2:]]) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
