"""A protocol carried out: every cell's trials run and summed up, one after the other."""

import dataclasses
import functools
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from metaenvs import errors, keys, registry
from metaenvs._version import __version__
from metaenvs.evaluation import reference_scores as anchors
from metaenvs.evaluation.host import HostPolicy, run_trials_on_host
from metaenvs.evaluation.policy import AGENT, Control, Policy
from metaenvs.evaluation.protocol import PROTOCOLS, Condition, Protocol
from metaenvs.evaluation.reference_scores import Anchor
from metaenvs.evaluation.results import SCHEMA, Partial
from metaenvs.evaluation.trials import Trials, as_argument, check_actions, run_trials
from metaenvs.statistics import AGGREGATES, Interval, interval, mean_intervals
from metaenvs.trial import RandomProjection, TrialParams

BACKENDS = ("jax", "host")
"""How a policy can act, see `evaluate`."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far an evaluation is: environment steps done and in all, and what is run now."""

    done: int
    total: int
    doing: str


@dataclasses.dataclass(frozen=True)
class _Job:
    """The trials of one policy in one cell."""

    env: RandomProjection
    params: TrialParams
    condition: Condition
    split: str
    control: Control
    episodes: int

    @property
    def cell(self) -> str:
        return f"{self.split}/{self.condition.name}"

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.env.splits[self.split]

    @property
    def length(self) -> int:
        return self.env.trial_length(self.params)


def evaluate(
    policy: Policy | HostPolicy,
    env_id: str,
    protocol: Protocol | str = "rp-v0-eval1",
    *,
    env_kwargs: dict[str, Any] | None = None,
    trained_episodes: int | None = None,
    agent: dict[str, Any] | None = None,
    partial: Path | None = None,
    backend: str = "jax",
    devices: Sequence[jax.Device] | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Evaluate `policy` on a suite by `protocol`. Returns what `evaluation.json` holds.

    Args:
        policy: see `Policy`, and for the backend host `HostPolicy`.
        env_id: a registered suite.
        protocol: or its id.
        env_kwargs: further keywords for `metaenvs.make` (`observe`, say).
        trained_episodes: episodes per trial that the policy was trained on, for the
            record (default: the suite's own).
        agent: what identifies the policy, kept in the result (default: the name of its class).
            docs/evaluation.md says what to tell of it.
        partial: a file that keeps what is finished. If it is there, the evaluation goes on
            where it was stopped. The caller deletes it once the result is saved.
        backend: how the policy acts: "jax", compiled with the trials; or "host", on NumPy
            arrays between their steps. The trials are the same, and so is the result of a
            policy that acts the same.
        devices: that share the work of the backend jax (default: all local ones).
        progress: called whenever some steps are done.

    Raises:
        ValueError: unknown protocol, suite or backend, a policy with a wrong action shape, or
            a partial file of something else.
        TypeError: a policy for the backend jax that JAX cannot compile.
    """
    if backend not in BACKENDS:
        raise errors.unknown(backend, BACKENDS, "backend")
    if isinstance(protocol, str):
        protocol = errors.lookup(PROTOCOLS, protocol, "protocol")
    own, _ = registry.make(env_id, **(env_kwargs or {}))
    if not isinstance(own, RandomProjection):
        raise ValueError(f"{env_id!r} is no RandomProjection suite, but protocols are for those")
    run: Callable[..., Trials] = functools.partial(run_trials_on_host, cast(HostPolicy, policy))
    if backend == "jax":
        check_actions(cast(Policy, policy), own)
        run = functools.partial(run_trials, as_argument(cast(Policy, policy)), devices=devices)
    own_episodes = int(own.default_params.episodes_per_trial)
    known = anchors.find(own)
    header = {
        "schema": SCHEMA,
        "protocol": protocol.as_json(),
        "suite": env_id,
        "own_episodes": own_episodes,
        "trained_episodes": own_episodes if trained_episodes is None else trained_episodes,
        "observe": list(own.observe),
        "agent": agent or {"name": type(policy).__name__},
        "anchors": {task: dataclasses.asdict(anchor) for task, anchor in known.items()},
        "versions": {
            "metaenvs": __version__,
            "jax": jax.__version__,
            "python": platform.python_version(),
            "backend": jax.default_backend(),
            "random_numbers": keys.IMPLEMENTATION,
        }
        | ({"policy": "host"} if backend == "host" else {}),
    }
    finished = Partial(partial, header) if partial else None
    jobs = list(_jobs(own, env_id, env_kwargs or {}, protocol))
    total = sum(_steps(job, protocol) for job in jobs)
    # One number for all jobs: they share their programs.
    starts = max([1, *(job.episodes for job in jobs if job.control.redraw_every_episode)])
    done, cells = 0, []
    for job in jobs:
        entry = finished.find(job.cell, job.control.name) if finished else None
        if entry is None:
            doing = f"{job.cell}: {job.control.name}"

            def report(steps: int, doing=doing) -> None:
                nonlocal done
                done += steps
                progress(Progress(done, total, doing))

            report(0)
            trials = run(
                job.env,
                job.tasks,
                trials_per_task=protocol.trials_per_task,
                seed=protocol.seed,
                control=job.control,
                params=job.params,
                starts=starts,
                progress=report,
            )
            entry = _entry(job, trials, protocol, own_episodes, known)
            if finished:
                finished.add(entry)
        else:
            done += _steps(job, protocol)
        cells.append(entry)
    return header | {"cells": cells}


def _jobs(
    own: RandomProjection, env_id: str, env_kwargs: dict[str, Any], protocol: Protocol
) -> Iterator[_Job]:
    for condition in protocol.conditions:
        episodes = protocol.episodes_of(condition, int(own.default_params.episodes_per_trial))
        env, _ = registry.make(
            env_id, **env_kwargs | {"projection": condition.family(own.projection)}
        )
        for control in (AGENT, *condition.controls):
            for split in condition.splits:
                params = env.params_for(
                    split=split,
                    episodes_per_trial=episodes,
                    projection_scale=condition.projection_scale,
                    dynamics=condition.dynamics or None,
                )
                yield _Job(env, params, condition, split, control, episodes)


def _steps(job: _Job, protocol: Protocol) -> int:
    return job.length * len(job.tasks) * protocol.trials_per_task


def _entry(
    job: _Job,
    trials: Trials,
    protocol: Protocol,
    own_episodes: int,
    known: dict[str, Anchor],
) -> dict[str, Any]:
    """What results hold of the trials of one policy in one cell."""
    returns = trials.returns_by_episode(job.episodes)
    curve = trials.curve(protocol.bins)
    scores = None
    if all(task in known for task in trials.tasks):
        scores = np.stack(
            [known[task].score(x) for task, x in zip(trials.tasks, returns, strict=True)]
        )
    tasks: dict[str, Any] = {}
    for i, task in enumerate(trials.tasks):
        tasks[task] = _summary(returns[i : i + 1], curve[i : i + 1], own_episodes)
        tasks[task]["returns"] = returns[i].tolist()
        tasks[task]["score"] = (
            _score(known[task].score(returns[i : i + 1]), own_episodes) if task in known else None
        )
    over_tasks = _summary(returns, curve, own_episodes)
    over_tasks["score"] = _score(scores, own_episodes) if scores is not None else None
    return {
        "cell": job.cell,
        "split": job.split,
        "condition": job.condition.name,
        "projection": job.env.projection,
        "policy": job.control.name,
        "episodes": job.episodes,
        "trial_length": job.length,
        "tasks": tasks,
        "mean_over_tasks": over_tasks,
    }


def _summary(returns: np.ndarray, curve: np.ndarray, own_episodes: int) -> dict[str, Any]:
    """Of returns `[tasks, trials, episodes]` and curves `[tasks, trials, bins]`."""
    return {
        "return": _json(interval(returns[..., :own_episodes].mean(-1)[None])),
        "return_by_episode": [_json(x) for x in mean_intervals(returns)],
        "curve": [_json(x) for x in mean_intervals(curve)],
    }


def _score(scores: np.ndarray, own_episodes: int) -> dict[str, Any]:
    """Of normalised returns `[tasks, trials, episodes]`."""
    as_trained = scores[..., :own_episodes].mean(-1)[None]
    return {
        **{name: _json(interval(as_trained, f)) for name, f in AGGREGATES.items()},
        "by_episode": [_json(x) for x in mean_intervals(scores)],
        "gain": _json(interval((scores[..., -1] - scores[..., 0])[None])),
        "area": _json(interval(scores.mean(-1)[None])),
    }


def _json(value: Interval) -> dict[str, float]:
    return dataclasses.asdict(value)
