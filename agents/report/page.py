"""The page: what it shows, in order, and how it is written."""

import base64
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from agents.failures import RunError
from agents.report import figures, findings, published, runs, tables
from agents.report.runs import Agent, Run
from agents.runs import evaluate
from metaenvs import RandomProjection, files
from metaenvs.rendering import animation, scenes
from metaenvs.suites import SUITES

_ANIMATED = 4
"""Agents whose trials are animated; a page with more would be large."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """A figure on the page."""

    name: str
    title: str
    caption: str
    svg: str


@dataclasses.dataclass(frozen=True)
class Animation:
    """An episode of an agent as a GIF."""

    agent: str
    task: str
    episode: int
    data: str


def write(
    paths: Sequence[Path],
    out: Path,
    *,
    overwrite: bool = False,
    animate: bool = True,
    baseline: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Write `report.html`, and `report/` with its figures and tables, into the folder `out`.

    Args:
        paths: run folders with an evaluation, or evaluation files.
        out: where to write.
        overwrite: replace a report that is already there.
        animate: show a first and a last episode of every agent that has a checkpoint.
        baseline: names of agents in `baselines` to put beside them.
        say: called with what is being done.

    Returns:
        The files written, the page first.

    Raises:
        RunError: if there is a report that is not to be replaced, or no usable run.
        ValueError: for evaluations that are broken or cannot be compared.
    """
    page = out / "report.html"
    if page.exists() and not overwrite:
        raise RunError(f"{page} exists; replace it with --overwrite")
    loaded = runs.load(paths, baseline)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass  # it can be written to: said before the work, not after
    agents = runs.group(loaded)
    fresh = _first_cells(agents[0])
    drawn: list[Shown] = []
    files: dict[Path, bytes] = {}

    def show(name: str, title: str, caption: str, make: Callable[[], Figure | None]) -> None:
        say(title)
        figure = figures.draw(make)
        if figure is None:
            return
        drawn.append(Shown(name, title, caption, figures.as_svg(figure, name)))
        for ending in ("png", "pdf"):
            with tempfile.TemporaryFile() as file:
                metadata = {"CreationDate": None} if ending == "pdf" else {"Software": None}
                figure.savefig(file, format=ending, dpi=200, metadata=metadata)
                file.seek(0)
                files[out / "report" / "figures" / f"{name}.{ending}"] = file.read()

    show(
        "scores",
        "Score over tasks",
        "0 is the random policy, 1 a single-task expert without projection. Dots: statistic over "
        "tasks; bars: 95 % bootstrap intervals over trials and seeds.",
        lambda: figures.intervals(agents, tables.cells(agents[0])),
    )
    if len(agents) > 1:
        show(
            "improvement",
            "Probability of improvement",
            "How likely a trial of the first agent pays more than one of the second on the same "
            "task, mean over tasks, with 95 % intervals. 0.5: no difference.",
            lambda: figures.improvements(agents, fresh),
        )
    theirs = f"; markers: {published.PAPER}" if _suite(agents) == published.SUITE else ""
    show(
        "returns",
        "Return by task",
        "Raw return per episode, as many episodes of a trial as the suite trains on, with 95 % "
        f"intervals{theirs}.",
        lambda: figures.bars(agents, fresh),
    )
    show(
        "adaptation",
        "Adaptation curves",
        f"Mean reward per step by time inside the trial, mean over tasks, with 95 % intervals. "
        f"Every trial starts from an empty memory; vertical lines end episodes.{_step(agents)}",
        lambda: figures.curves(agents),
    )
    for i, agent in enumerate(agents):
        for cell in fresh:
            show(
                f"controls-{i + 1}-{cell.replace('/', '-')}",
                f"{agent.label}, {cell.replace('_', ' ')}: controls",
                "An agent that adapts in context loses its return where its memory is emptied at "
                "every step. Emptied or redrawn at every episode, it differs from the second on."
                + _step(agents),
                functools.partial(figures.controls, agent, i, cell),
            )
    show(
        "learning",
        "Learning curves",
        "Return per episode on the training tasks, by environment steps.",
        lambda: figures.learning(agents),
    )
    shown = [
        tables.summary(agents),
        *(findings.by_task(agents, cell) for cell in fresh),
        *(tables.by_task(agents, cell) for cell in fresh),
    ]
    for table in shown:
        files[out / "report" / "tables" / f"{table.name}.csv"] = table.csv().encode()
        files[out / "report" / "tables" / f"{table.name}.tex"] = table.latex().encode()
    animations = _animations(agents, say) if animate else []
    text = _template().render(
        suite=_suite(agents),
        result=agents[0].results[0],
        runs=loaded,
        agents=agents,
        findings={agent.label: [findings.line(agent, cell) for cell in fresh] for agent in agents},
        captions=_CAPTIONS,
        colour=figures.colour,
        tables=shown,
        figures=drawn,
        animations=animations,
        differences=runs.differences(loaded),
    )
    for path, content in files.items():
        _replace(path, content)
    _replace(page, text.encode())
    return [page, *files]


_CAPTIONS = {
    "findings": "Differences of return in the same trials, with 95 % bootstrap intervals. Memory: "
    "the agent less the same with its memory emptied at every step.",
    "returns": "Raw returns with 95 % bootstrap intervals, the agent and its controls. Emptied or "
    "redrawn at every episode, an agent is itself in the first one, so its last is shown.",
}
"""Of tables, by the first word of their names."""


def _step(agents: Sequence[Agent]) -> str:
    """What a step is, where the suite repeats actions."""
    suite = SUITES.get(_suite(agents))
    if suite is None or suite.action_repeat == 1:
        return ""
    return f" A step is one action, kept for {suite.action_repeat} frames of the task."


def _suite(agents: Sequence[Agent]) -> str:
    return str(agents[0].results[0]["suite"])


def _first_cells(agent: Agent) -> list[str]:
    """The cells of the protocol's first condition, on which the controls are run."""
    condition = agent.results[0]["protocol"]["conditions"][0]
    return [f"{split}/{condition['name']}" for split in condition["splits"]]


def _template() -> jinja2.Template:
    text = resources.files("agents.report").joinpath("template.html.j2").read_text()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(text)


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as unfinished:
        unfinished.write_bytes(content)


def _animations(agents: Sequence[Agent], say: Callable[[str], None]) -> list[Animation]:
    """The first and the last episode of a trial of every agent's first run, if it is drawable."""
    found: list[Animation] = []
    for agent in agents[:_ANIMATED]:
        run = agent.runs[0]
        if run.folder is not None and run.folder.latest_update is not None:
            say(f"{agent.label}: animations")
            found += _episodes(agent.label, run)
    return found


def _drawable(env: Any) -> str | None:
    """The first training task that can be drawn, if there is one."""
    if not isinstance(env, RandomProjection):
        return None
    by_name = dict(zip(env.task_names, env.tasks.tasks, strict=True))
    names = (name for name in env.splits["train"] if scenes.has_scene(by_name[name]))
    return next(names, None)


def _episodes(label: str, run: Run) -> list[Animation]:
    assert run.folder is not None
    policy, _, _ = evaluate.load(run.folder)
    env, params = evaluate.acts_in(run.folder.config)
    task = _drawable(env)
    if task is None:
        return []
    episodes = run.result["protocol"]["episodes"]
    rollout = animation.roll_out(env, task, policy, episodes=episodes, params=params)
    found = []
    for episode in (0, episodes - 1):
        with tempfile.TemporaryDirectory() as folder:
            gif = Path(folder) / "episode.gif"
            animation.write_gif(rollout, gif, episode=episode)
            data = base64.b64encode(gif.read_bytes()).decode()
        found.append(Animation(label, task, episode + 1, data))
    return found
