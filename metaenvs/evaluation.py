"""The evaluation protocol: fixed trials, run to their end, for any policy.

A policy is anything with `init_carry` and `act` (see `Policy`); nothing here knows
about the agents of this repository.
"""

import dataclasses
import json
import platform
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from typing import Protocol as TypingProtocol

import jax
import jax.numpy as jnp
import numpy as np

import metaenvs
from metaenvs import errors, registry
from metaenvs.statistics import mean_interval
from metaenvs.trial import RandomProjection, TrialParams

SCHEMA = 1


class Policy(TypingProtocol):
    """What can be evaluated."""

    def init_carry(self, n: int) -> Any:
        """An empty memory for `n` environments."""
        ...

    def act(
        self, carry: Any, obs: jax.Array, reset: jax.Array, key: jax.Array
    ) -> tuple[Any, jax.Array]:
        """Actions `[n, action_size]` for `obs [n, observation_size]`.

        Where `reset [n]` holds, the memory is emptied *before* `obs` is read.
        """
        ...


@dataclasses.dataclass(frozen=True)
class RandomPolicy:
    """Uniform in the action box: the zero of the normalised score."""

    action_size: int

    def init_carry(self, n: int) -> tuple[()]:
        return ()

    def act(self, carry, obs, reset, key):
        shape = (obs.shape[0], self.action_size)
        return carry, jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)


@dataclasses.dataclass(frozen=True)
class Wiping:
    """When a policy's memory is emptied, besides at a trial's start."""

    name: str
    every_step: bool = False
    every_episode: bool = False


AGENT = Wiping("agent")
WIPED_EVERY_STEP = Wiping("carry wiped every step", every_step=True)
WIPED_EVERY_EPISODE = Wiping("carry wiped every episode", every_episode=True)
RANDOM = "random"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One condition: which tasks, behind which projections, and which controls run."""

    split: str
    projection: str
    controls: tuple[Wiping, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.split}/{self.projection}"


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A frozen evaluation.

    Attributes:
        id: version of the protocol; files of different protocols are not compared.
        cells: the conditions.
        trials_per_task: trials of every task in every cell.
        episodes_per_trial: episodes in each, whatever the suite trains on.
        seed: of all trials. A trial's draw depends on it, the task's name and the
            trial's number only.
        bins: of steps in an adaptation curve.
    """

    id: str
    cells: tuple[Cell, ...]
    trials_per_task: int = 64
    episodes_per_trial: int = 4
    seed: int = 2303
    bins: int = 40


_CONTROLS = (WIPED_EVERY_STEP, WIPED_EVERY_EPISODE)

PROTOCOLS: dict[str, Protocol] = {
    protocol.id: protocol
    for protocol in (
        Protocol(
            id="rp-v0-eval1",
            cells=tuple(
                Cell(split, projection, controls)
                for projection, controls in (
                    ("orthogonal", _CONTROLS),
                    ("identity", ()),
                    ("gaussian", ()),
                )
                for split in ("train", "held_out")
            ),
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Trials:
    """What happened in the trials of one policy in one cell.

    Attributes:
        tasks: names.
        rewards: `[n_tasks, n_trials, T]` unscaled task reward; 0 after a trial's end.
        episode: `[n_tasks, n_trials, T]` index of the episode; -1 after a trial's end.
    """

    tasks: tuple[str, ...]
    rewards: np.ndarray
    episode: np.ndarray

    def rows(self, chosen: slice) -> "Trials":
        """The trials of some of the tasks."""
        return Trials(self.tasks[chosen], self.rewards[chosen], self.episode[chosen])

    def returns_by_episode(self, episodes: int) -> np.ndarray:
        """`[n_tasks, n_trials, episodes]`"""
        per_episode = [
            np.where(self.episode == k, self.rewards, 0.0).sum(-1, dtype=np.float64)
            for k in range(episodes)
        ]
        return np.stack(per_episode, axis=-1)

    def curve(self, bins: int) -> np.ndarray:
        """`[n_tasks, n_trials, bins]` mean reward per step, by time inside the trial."""
        parts = np.array_split(self.rewards, min(bins, self.rewards.shape[-1]), axis=-1)
        return np.stack([part.mean(-1, dtype=np.float64) for part in parts], axis=-1)


def run_trials(
    policy: Policy,
    env: RandomProjection,
    tasks: Iterable[str],
    *,
    trials_per_task: int,
    seed: int,
    wiping: Wiping = AGENT,
) -> Trials:
    """Run `trials_per_task` trials of every task to their end, from an empty carry.

    All trials run side by side. Each draws from a key of its own and calls the policy
    with a batch of one under `jax.vmap`, so that no trial depends on the others.

    Raises:
        ValueError: unknown task, or a policy whose actions have the wrong shape.
    """
    tasks = tuple(tasks)
    _check_actions(policy, env)
    params = [env.params_for(tasks=[task]) for task in tasks]
    return _run_side_by_side(policy, env, tasks, params, trials_per_task, seed, wiping)


def _run_side_by_side(
    policy: Policy,
    env: RandomProjection,
    tasks: tuple[str, ...],
    params_of_tasks: list[TrialParams],
    trials_per_task: int,
    seed: int,
    wiping: Wiping,
) -> Trials:
    """`run_trials` with params of its own for every entry of `tasks`."""
    params = params_of_tasks[0]
    params = params.replace(
        **{
            field: jax.tree.map(
                lambda *rows: jnp.repeat(jnp.stack(rows), trials_per_task, axis=0),
                *(getattr(p, field) for p in params_of_tasks),
            )
            for field in _PER_TRIAL
        }
    )
    keys = jnp.stack(
        [
            jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _stable_hash(t)), i)
            for t in tasks
            for i in range(trials_per_task)
        ]
    )
    wipe = jnp.array([wiping.every_step, wiping.every_episode])
    length = env.trial_length(params)
    rewards, episode = _run(_Same(policy), env, length, keys, params, wipe)
    shape = (len(tasks), trials_per_task, length)
    return Trials(tasks, np.asarray(rewards).reshape(shape), np.asarray(episode).reshape(shape))


_PER_TRIAL = ("task_weights", "dynamics")
"""Params in which side-by-side trials differ; the others are shared."""


def _stable_hash(name: str) -> int:
    """The same for a name in every process, unlike `hash`."""
    return zlib.crc32(name.encode())


def _check_actions(policy: Policy, env: RandomProjection) -> None:
    def act(key):
        obs = jnp.zeros((1, env.observation_size))
        return policy.act(policy.init_carry(1), obs, jnp.ones(1, bool), key)[1]

    shape = jax.eval_shape(act, jax.random.key(0)).shape
    if shape != (1, env.action_size):
        raise ValueError(
            f"the policy's actions for a batch of 1 have shape {shape}, "
            f"{env.name} takes {(1, env.action_size)}"
        )


class _Same:
    """A policy as a static argument: equal if it is the same object."""

    def __init__(self, policy: Policy):
        self.policy = policy

    def __eq__(self, other):
        return isinstance(other, _Same) and self.policy is other.policy

    def __hash__(self):
        return id(self.policy)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _run(same, env, length, keys, params, wipe):
    """Rewards and episode indices, `[n_trials, length]` each."""
    policy = same.policy
    axes = jax.tree.map(lambda _: None, params)
    axes = axes.replace(**dict.fromkeys(_PER_TRIAL, 0))

    def trial(key, params, wipe):
        key_reset, key_steps = jax.random.split(key)
        obs, state = env.reset(key_reset, params)

        def step(loop, t):
            carry, obs, state, episode_over, alive = loop
            key_act, key_env = jax.random.split(jax.random.fold_in(key_steps, t))
            reset = (t == 0) | wipe[0] | (wipe[1] & episode_over)
            carry, action = policy.act(carry, obs[None], reset[None], key_act)
            obs, state, _, _, truncated, info = env.step(key_env, state, action[0], params)
            reward = jnp.where(alive, info["task_reward"], 0.0)
            episode = jnp.where(alive, info["episode_index"], -1).astype(jnp.int16)
            loop = (carry, obs, state, info["episode_over"], alive & ~truncated)
            return loop, (reward, episode)

        loop = (policy.init_carry(1), obs, state, jnp.zeros((), bool), jnp.ones((), bool))
        return jax.lax.scan(step, loop, jnp.arange(length))[1]

    return jax.vmap(trial, in_axes=(0, axes, None))(keys, params, wipe)


def evaluate(
    policy: Policy,
    env_id: str,
    protocol: Protocol | str = "rp-v0-eval1",
    *,
    env_kwargs: dict[str, Any] | None = None,
    trained_episodes: int = 1,
    agent: dict[str, Any] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Evaluate `policy` on a suite by `protocol`. Returns what `evaluation.json` holds.

    Args:
        policy: see `Policy`.
        env_id: a registered suite.
        protocol: or its id.
        env_kwargs: further keywords for `metaenvs.make` (`observe`, say).
        trained_episodes: episodes per trial that the policy was trained on; `return`
            is the mean over that many, `return_by_episode` shows all of them.
        agent: what identifies the policy; kept in the result.
        progress: called with a line before each batch of trials.

    Raises:
        ValueError: unknown protocol or suite, or a policy with a wrong action shape.
    """
    if isinstance(protocol, str):
        protocol = errors.lookup(PROTOCOLS, protocol, "protocol")
    trained_episodes = min(trained_episodes, protocol.episodes_per_trial)
    cells = []
    for projection in dict.fromkeys(cell.projection for cell in protocol.cells):
        here = [cell for cell in protocol.cells if cell.projection == projection]
        env, _ = registry.make(
            env_id,
            projection=projection,
            episodes_per_trial=protocol.episodes_per_trial,
            **(env_kwargs or {}),
        )
        _check_actions(policy, env)
        runs: list[tuple[str, Policy, Wiping]] = [(RANDOM, RandomPolicy(env.action_size), AGENT)]
        wipings = dict.fromkeys([AGENT, *(w for cell in here for w in cell.controls)])
        runs += [(wiping.name, policy, wiping) for wiping in wipings]
        for name, who, wiping in runs:
            # Both splits in one batch: one program, one compilation.
            asking = [c for c in here if name in (RANDOM, AGENT.name) or wiping in c.controls]
            progress(f"{projection}: {name}")
            groups = [(cell, env.splits[cell.split]) for cell in asking]
            trials = _run_side_by_side(
                who,
                env,
                tuple(task for _, tasks in groups for task in tasks),
                [
                    env.params_for(tasks=[task], dynamics=env.dynamics_of(cell.split))
                    for cell, tasks in groups
                    for task in tasks
                ],
                protocol.trials_per_task,
                protocol.seed,
                wiping,
            )
            first = 0
            for cell, tasks in groups:
                part = trials.rows(slice(first, first + len(tasks)))
                first += len(tasks)
                summary = _summary(part, protocol, trained_episodes)
                about = {"cell": cell.name, "split": cell.split, "projection": projection}
                cells.append({**about, "policy": name, **summary})
    return {
        "schema": SCHEMA,
        "protocol": dataclasses.asdict(protocol),
        "suite": env_id,
        "trained_episodes": trained_episodes,
        "trial_length": env.trial_length(),
        "agent": agent or {},
        "versions": {
            "metaenvs": metaenvs.__version__,
            "jax": jax.__version__,
            "python": platform.python_version(),
            "backend": jax.default_backend(),
        },
        "cells": cells,
    }


def _summary(trials: Trials, protocol: Protocol, trained_episodes: int) -> dict[str, Any]:
    by_episode = trials.returns_by_episode(protocol.episodes_per_trial)
    curve = trials.curve(protocol.bins)

    def summary(by_episode, curve):
        # `[strata, trials, ...]`: a task alone is one stratum.
        as_trained = by_episode[..., :trained_episodes].mean(-1)
        return {
            "return": _interval(as_trained),
            "return_by_episode": [_interval(x) for x in np.moveaxis(by_episode, -1, 0)],
            "curve": [_interval(x, resamples=500) for x in np.moveaxis(curve, -1, 0)],
        }

    return {
        "mean_over_tasks": summary(by_episode, curve),
        "tasks": {
            name: summary(by_episode[i : i + 1], curve[i : i + 1])
            for i, name in enumerate(trials.tasks)
        },
    }


def _interval(strata: np.ndarray, resamples: int = 2000) -> dict[str, float]:
    return dataclasses.asdict(mean_interval(list(strata), resamples))


def find(result: dict[str, Any], cell: str, policy: str) -> dict[str, Any]:
    """The entry of one policy in one cell of an evaluation."""
    for entry in result["cells"]:
        if (entry["cell"], entry["policy"]) == (cell, policy):
            return entry
    choices = [f"{e['cell']}: {e['policy']}" for e in result["cells"]]
    raise errors.unknown(f"{cell}: {policy}", choices, "cell and policy")


def save(result: dict[str, Any], path: Path) -> None:
    """Write an evaluation; a file already there is replaced only by a whole one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1))
    partial.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Read an evaluation.

    Raises:
        ValueError: if the file is no whole evaluation of this schema.
    """
    try:
        result = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a whole JSON file: {error}") from None
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise ValueError(f"{path} is not an evaluation of schema {SCHEMA}")
    return result
