"""Runs listed in a file, to be compared: trained and evaluated one after the other."""

import dataclasses
import itertools
import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from agents import config as configs
from agents import presets
from agents.config import TrainConfig
from agents.failures import DivergedError, RunError
from agents.learner.trainer import Trainer
from agents.runs import evaluate, loop
from agents.runs.run_folder import RunFolder, check
from metaenvs import errors, evaluation, files

FIELDS = ("protocol", "seeds", "all", "runs", "grid")


class Member(NamedTuple):
    """A run of an experiment: its name there, and its seed."""

    run: str
    seed: int


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a file lists.

    Attributes:
        runs: settings by the run's name, of its seed 0.
        seeds: each run is made with the seeds 0, 1, ..., so many.
        protocol: by which a run is evaluated when it has been trained; None: by none.
    """

    runs: Mapping[str, TrainConfig]
    seeds: int = 1
    protocol: str | None = None

    def members(self, root: Path) -> Iterator[tuple[Path, TrainConfig]]:
        """Folder below `root` and settings of every run and seed, in the order of work.

        All runs with their first seed come before any with its second: a comparison is
        there early, and gets sharper.
        """
        for seed in range(self.seeds):
            for name, config in self.runs.items():
                yield root / name / f"seed{seed}", dataclasses.replace(config, seed=seed)


def read(path: Path) -> Experiment:
    """The experiment listed in a TOML file.

    `protocol` and `seeds` are those of `Experiment`; the table `all` holds settings of every
    run, `runs.NAME` a run's own, under the names that `metaenvs train` has for them
    (`model.memory`); the preset comes first, then `all`, then the run's own. With a table `grid`,
    of lists of values, there is each of these runs (without them one) with each combination.

    Raises:
        ValueError: the file is no TOML, or what it says cannot be trained or evaluated; the
            message names the file, the run and the value.
        RunError: if there is no such file.
    """
    if not path.is_file():
        raise RunError(f"there is no file {path}")
    try:
        listed = tomllib.loads(path.read_text())
        for field in listed:
            if field not in FIELDS:
                raise errors.unknown(field, FIELDS, "field of an experiment")
        grid = _grid({"grid": listed.get("grid", {})})
        runs = listed.get("runs", {"": {}} if grid else {})
        if not runs or not isinstance(runs, dict):
            raise ValueError("it lists no runs: add a table [runs.NAME] for each")
        seeds = listed.get("seeds", 1)
        if not isinstance(seeds, int) or seeds < 1:
            raise ValueError(f"seeds must be a whole number of at least 1, got {seeds!r}")
        protocol = listed.get("protocol")
        if protocol is not None:
            errors.lookup(evaluation.PROTOCOLS, protocol, "protocol")
        common = listed.get("all", {})
        named: dict[str, TrainConfig] = {}
        for (run, own), point in itertools.product(runs.items(), itertools.product(*grid)):
            name = "_".join(filter(None, [run, *map(_value_name, point)]))
            if name in named:
                raise ValueError(f"run {name!r}: the grid makes two of this name")
            named[name] = _config(name, common, own, *(value.table["grid"] for value in point))
        return Experiment(named, seeds, protocol)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class _Value(NamedTuple):
    """One of a grid's values: of which setting, and as a table of settings."""

    setting: str
    value: Any
    table: dict[str, Any]


def _grid(table: dict[str, Any]) -> list[list[_Value]]:
    """The values of each setting in a table, which may be nested, of lists of values."""
    found = []
    for name, values in table.items():
        if isinstance(values, dict):
            inner = _grid(values)
            found += [[v._replace(table={name: v.table}) for v in each] for each in inner]
        elif isinstance(values, list) and values:
            found.append([_Value(name, value, {name: value}) for value in values])
        else:
            raise ValueError(f"{name} is {values!r}: a grid is made of lists of values to try")
    return found


def _value_name(value: _Value) -> str:
    """learning_rate-0.001: as a part of a run's name."""
    return f"{value.setting}-" + re.sub(r"[^\w.-]+", "-", str(value.value)).strip("-")


def _config(name: str, *tables: dict[str, Any]) -> TrainConfig:
    """The settings of a run: its preset, and what each of `tables` puts in its place."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"run {name!r}: its name is that of a folder, of letters, digits and _.-")
    try:
        for values in tables:
            if not isinstance(values, dict):
                raise ValueError(f"it is {values!r}, which is no table of settings")
        if any("seed" in values for values in tables):
            raise ValueError("seeds are not set by run: give their number, seeds = 3")
        preset = [values["preset"] for values in tables if "preset" in values]
        config = presets.preset(preset[-1] if preset else "demo")
        for values in tables:
            config = configs.override(config, values)
        loop.check(config)
        return config
    except ValueError as error:
        raise ValueError(f"run {name!r}: {error}") from None


def check_folders(experiment: Experiment, root: Path) -> None:
    """Refuse a `root` where a run was started with other settings.

    Raises:
        RunError: naming the run and the settings.
    """
    for path, config in experiment.members(root):
        check(path, config)


def walk(
    experiment: Experiment,
    root: Path,
    say: Callable[[str], None],
    given_for: Callable[[TrainConfig], loop.Given] = lambda config: loop.NOTHING,
    only: Sequence[Member] | None = None,
) -> bool:
    """Train and evaluate all runs, each from where it stands; returns whether all are done.

    Evaluations are collected in `root`/evaluations, named after run and seed. A run that
    diverges is said to have done so, and the others go on. On Ctrl-C or SIGTERM the present
    update is finished and saved, and the walk ends. `given_for` finds the agents that a run's
    settings ask for. `only` some of the runs are walked, if they are given; None: all.

    Raises:
        RunError: if a run was started with other settings (before any is trained), or
            cannot be written.
    """
    check_folders(experiment, root)
    all_done = True
    for path, config in experiment.members(root):
        if only is not None and _member(path, config) not in only:
            continue
        try:
            if not _train(path, config, given_for(config)):
                return False
        except DivergedError as error:
            say(f"{path}: {error}")
            all_done = False
            continue
        if experiment.protocol is not None:
            _evaluate(path, experiment.protocol, root / "evaluations")
        # Each run has programs of its own.
        jax.clear_caches()
    return all_done


def _member(path: Path, config: TrainConfig) -> Member:
    return Member(path.parent.name, config.seed)


def unfinished(experiment: Experiment, root: Path) -> list[Member]:
    """The runs that are still to be trained or, where there is a protocol, evaluated."""
    last = "summary.json" if experiment.protocol is None else "evaluation.json"
    members = experiment.members(root)
    return [_member(path, config) for path, config in members if not (path / last).exists()]


def _train(path: Path, config: TrainConfig, given: loop.Given) -> bool:
    if (path / "summary.json").exists():
        return True
    return loop.train(RunFolder.resume(path, config), given=given)


def _evaluate(path: Path, protocol: str, collected: Path) -> None:
    written = path / "evaluation.json"
    if not written.exists():
        evaluate.evaluate(RunFolder.open(path), protocol)
    collected.mkdir(exist_ok=True)
    copy = collected / f"{path.parent.name}-{path.name}.json"
    with files.replacing(copy) as unfinished:
        shutil.copyfile(written, unfinished)


def status(experiment: Experiment, root: Path) -> list[dict[str, Any]]:
    """A row for every run and seed: how far it is, and its final return where it has one."""
    rows = []
    updates = {name: Trainer(config).updates for name, config in experiment.runs.items()}
    for path, config in experiment.members(root):
        done, stage = 0, "not begun"
        if path.exists():
            done, stage = RunFolder.open(path).latest_update or 0, "begun"
        final = None
        if (path / "summary.json").exists():
            stage = "trained"
            final = json.loads((path / "summary.json").read_text())["final_return"]
        if (path / "evaluation.json").exists():
            stage = "evaluated"
        rows.append(
            {
                "run": path.parent.name,
                "seed": config.seed,
                "stage": stage,
                "updates": f"{done} of {updates[path.parent.name]}",
                "final return": "-" if final is None else final,
            }
        )
    return rows
