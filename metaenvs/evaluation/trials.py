"""Whole trials of any policy: frozen draws, run to their end, independent of each other."""

import dataclasses
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from metaenvs import dispatch, keys
from metaenvs.evaluation.policy import AGENT, Control, Policy
from metaenvs.identity import code_of
from metaenvs.trial import RandomProjection, TrialParams, TrialState

ROWS = 64
"""Trials that step side by side. Always as many, so that the bits of a trial's result do
not depend on how many trials are asked for, nor on the number of devices."""

CHUNK = 250
"""Steps between two returns to Python: bounds the memory, and how long an interrupt waits."""


@dataclasses.dataclass(frozen=True)
class Trials:
    """What happened in the trials of one policy.

    Attributes:
        tasks: names.
        rewards: `[n_tasks, n_trials, T]` unscaled task reward; 0 after a trial's end.
        episode: `[n_tasks, n_trials, T]` index of the episode; -1 after a trial's end.
    """

    tasks: tuple[str, ...]
    rewards: np.ndarray
    episode: np.ndarray

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
    control: Control = AGENT,
    params: TrialParams | None = None,
    starts: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    progress: Callable[[int], None] = lambda steps: None,
) -> Trials:
    """Run `trials_per_task` trials of every task to their end, from an empty carry.

    A trial's draw depends on `seed`, the task's name and the trial's number only. Each
    trial calls the policy with a batch of one under `jax.vmap`, so that none depends on
    the others.

    Args:
        policy: see `Policy`.
        env: the trials' environment.
        tasks: names.
        trials_per_task: how many of each.
        seed: of all draws.
        control: a handicap (default: none).
        params: of the trials, apart from `task_weights` (default: the environment's).
        starts: episodes of which `redraw_every_episode` can have a new trial (default: as
            many as there are). Calls with equal `starts` share compiled programs.
        devices: that share the work (default: all local ones).
        progress: called with the number of environment steps done since the last call.

    Raises:
        ValueError: unknown task, no trials, or a policy whose actions have the wrong shape.
    """
    runs, numbers = runs_of(env, tasks, trials_per_task, seed, control, params, starts)
    check_actions(policy, env)
    policy = as_argument(policy)
    devices = jax.local_devices() if devices is None else devices
    # A block keeps one core of a CPU busy.
    workers = os.cpu_count() or 1 if devices[0].platform == "cpu" else len(devices)
    blocks = [(run, block) for run in runs for block in numbers]
    with ThreadPoolExecutor(min(workers, len(blocks))) as pool:
        futures = [
            pool.submit(run.block, policy, block, devices[i % len(devices)], progress)
            for i, (run, block) in enumerate(blocks)
        ]
        try:
            results = [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            for run in runs:
                run.stopped = True
            raise
    return joined(runs, results)


def runs_of(
    env: RandomProjection,
    tasks: Iterable[str],
    trials_per_task: int,
    seed: int,
    control: Control,
    params: TrialParams | None,
    starts: int | None,
) -> tuple[list["Run"], list[range]]:
    """The runs of all tasks, and the numbers of the trials in their blocks."""
    if trials_per_task < 1:
        raise ValueError(f"trials_per_task must be at least 1, got {trials_per_task}")
    params = env.default_params if params is None else params
    starts = starts or int(params.episodes_per_trial)
    runs = [Run(env, task, params, seed, control, starts) for task in tasks]
    numbers = [range(i, min(i + ROWS, trials_per_task)) for i in range(0, trials_per_task, ROWS)]
    return runs, numbers


def joined(runs: Sequence["Run"], results: Sequence[tuple[np.ndarray, np.ndarray]]) -> Trials:
    """The trials of all runs, from rewards and episode indices `[T, n]` of block after block."""
    blocks = len(results) // len(runs)
    longest = max(run.length for run in runs)

    def part(which: int, fill: float) -> np.ndarray:
        rows = []
        for i, run in enumerate(runs):
            mine = results[i * blocks : (i + 1) * blocks]
            row = np.concatenate([block[which] for block in mine], axis=1).T
            rows.append(np.pad(row, ((0, 0), (0, longest - run.length)), constant_values=fill))
        return np.stack(rows)

    return Trials(tuple(run.task for run in runs), part(0, 0.0), part(1, -1))


def check_actions(policy: Policy, env: RandomProjection) -> None:
    """Refuse a policy that JAX cannot compile, or whose actions have the wrong shape.

    Raises:
        TypeError: if it computes with something other than JAX.
        ValueError: names both shapes.
    """

    def act(key):
        obs = jnp.zeros((1, env.observation_size))
        return policy.act(policy.init_carry(1), obs, jnp.ones(1, bool), key)[1]

    try:
        shape = jax.eval_shape(act, keys.key(0)).shape
    except Exception as error:
        if not _of_tracing(error):
            raise
        raise TypeError(
            f"JAX cannot compile {type(policy).__name__}'s init_carry and act. A policy written "
            'in NumPy or PyTorch is evaluated with backend="host", where they are given NumPy '
            f"arrays. JAX says: {str(error).splitlines()[0]}"
        ) from error
    if shape != (1, env.action_size):
        raise ValueError(
            f"the policy's actions for a batch of 1 have shape {shape}, "
            f"{env.name} takes {(1, env.action_size)}"
        )


def _of_tracing(error: Exception) -> bool:
    """Whether a policy failed because it was given JAX's tracers, or gave JAX what it is not."""
    return isinstance(error, jax.errors.JAXTypeError) or any(
        word in str(error) for word in ("Tracer", "JAX type", "JAX array", "torch")
    )


class Run:
    """Trials of one task under one condition, in blocks of `ROWS`."""

    def __init__(
        self,
        env: RandomProjection,
        task: str,
        params: TrialParams,
        seed: int,
        control: Control,
        starts: int,
    ):
        self._env = env
        self.task = task
        self.stepper = Stepper(env)
        weights = env.params_for(tasks=(task,)).task_weights
        self._params = params.replace(task_weights=weights)
        self.length = env.trial_length(self._params)
        self._key = jax.random.fold_in(keys.key(seed), zlib.crc32(task.encode()))
        self._task_id = jnp.asarray(env.task_names.index(task), jnp.int32)
        flags = {k: v for k, v in dataclasses.asdict(control).items() if k != "name"}
        self._control = _Flags(**{name: jnp.asarray(flag) for name, flag in flags.items()})
        self._n_starts = starts
        self.stopped = False

    def block(
        self, policy: Policy, numbers: range, device: jax.Device, progress: Callable[[int], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rewards and episode indices, `[T, n]`, of the trials `numbers`, at most `ROWS`."""
        rows = len(numbers)
        policy = jax.device_put(policy, device)
        fixed = self.start(numbers, device)
        with _ONE_COMPILES:
            loop = _first(policy, fixed.starts)
        rewards, episode = [], []
        for time in range(0, self.length, CHUNK):
            with _ONE_COMPILES:
                loop, (reward, index) = _chunk(self.stepper, policy, loop, time, fixed)
            rewards.append(np.asarray(reward)[:, :rows])
            episode.append(np.asarray(index)[:, :rows])
            progress(rows * min(CHUNK, self.length - time))
            if self.stopped:
                raise KeyboardInterrupt
        return np.concatenate(rewards)[: self.length], np.concatenate(episode)[: self.length]

    def start(self, numbers: range, device: jax.Device) -> "Fixed":
        """The draws of the trials `numbers`; rows beyond them are of the trials after them."""
        trials, params, task_id, control = jax.device_put(
            (self._trial_keys(numbers[0]), self._params, self._task_id, self._control), device
        )
        with _ONE_COMPILES:
            keys_steps, starts = _starts(code_of(self._env), self._n_starts, trials, params)
        return Fixed(keys_steps, starts, task_id, params, control)

    def _trial_keys(self, first: int) -> jax.Array:
        numbers = jnp.arange(first, first + ROWS)
        return jax.vmap(jax.random.fold_in, (None, 0))(self._key, numbers)


# Threads that meet the same program for the first time would each compile it.
_ONE_COMPILES = threading.Lock()


class _Flags(struct.PyTreeNode):
    """`Control` as data: all controls run the same program."""

    wipe_every_step: jax.Array
    wipe_every_episode: jax.Array
    redraw_every_episode: jax.Array
    random: jax.Array


class Fixed(struct.PyTreeNode):
    """What does not change in the course of a block.

    Attributes:
        keys: `[ROWS]` of the steps of each trial.
        starts: observations and states `[ROWS, n]`, the first of each trial and
            those of the trials that `redraw_every_episode` goes on with.
        task_id: one for all rows, so that only this task's program runs.
        params, control: of all rows.
    """

    keys: jax.Array
    starts: tuple[jax.Array, TrialState]
    task_id: jax.Array
    params: TrialParams
    control: _Flags


class Loop(struct.PyTreeNode):
    """A trial under way: `over` if the last step ended an episode, `episode` as in `Trials`."""

    carry: Any
    obs: jax.Array
    state: TrialState
    over: jax.Array
    episode: jax.Array


@jax.tree_util.register_static
class _Constant:
    """A policy that is no pytree as a part of the program.

    Whatever it computes with may have changed when it is met again, which nothing here can
    see: so it is equal to itself alone, and another call compiles it anew. Only the fields
    of a frozen dataclass are all that it is, if they are numbers and words.
    """

    def __init__(self, policy: Policy):
        self._policy = policy
        self._same: Any = object()
        if dataclasses.is_dataclass(policy) and policy.__dataclass_params__.frozen:  # type: ignore
            values = [getattr(policy, field.name) for field in dataclasses.fields(policy)]
            if all(isinstance(x, str | int | float | None) for x in values):
                self._same = (type(policy), *values)

    def __eq__(self, other):
        return isinstance(other, _Constant) and self._same == other._same

    def __hash__(self):
        return hash(self._same)

    def __getattr__(self, name):
        return getattr(self._policy, name)


def as_argument(policy: Policy) -> Any:
    """The policy as an argument of compiled programs: itself if it is a pytree.

    Otherwise calls that are given the result share programs, those that are given the policy
    do not.
    """
    return _Constant(policy) if jax.tree_util.all_leaves([policy]) else policy


class Stepper:
    """An environment as a static argument of programs that do not draw projections.

    Environments that differ only in the family of their projections share them.
    """

    def __init__(self, env: RandomProjection):
        self.env = env
        self._same = (
            (env.tasks, env.observe, env.obs_size, env.action_size)
            if type(env) is RandomProjection
            else env  # a subclass's steps may depend on anything
        )

    def __eq__(self, other):
        return isinstance(other, Stepper) and self._same == other._same

    def __hash__(self):
        return hash(self._same)


@partial(jax.jit, static_argnums=(0, 1))
def _starts(code, n, trials, params):
    def start(key):
        key_starts, key_steps = jax.random.split(key)
        episodes = jax.vmap(jax.random.fold_in, (None, 0))(key_starts, jnp.arange(n))
        return key_steps, jax.vmap(code.env.reset, (0, None))(episodes, params)

    return jax.vmap(start)(trials)


@jax.jit
def _first(policy, starts):
    def first(starts):
        obs, state = jax.tree.map(lambda x: x[0], starts)
        return Loop(policy.init_carry(1), obs, state, jnp.zeros((), bool), jnp.zeros((), jnp.int16))

    return jax.vmap(first)(starts)


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _chunk(stepper, policy, loop, time, fixed):
    """`CHUNK` steps from `time` on. Returns the loop, rewards and episode indices."""
    env: RandomProjection = stepper.env
    control = fixed.control

    def step(loop, t, key, starts):
        key_act, key_random, key_env = jax.random.split(jax.random.fold_in(key, t), 3)
        reset = (t == 0) | control.wipe_every_step | (control.wipe_every_episode & loop.over)
        carry, action = policy.act(loop.carry, loop.obs[None], reset[None], key_act)
        anything = jax.random.uniform(key_random, (env.action_size,), minval=-1.0, maxval=1.0)
        action = jnp.where(control.random, anything, action[0])
        return advance(env, loop.replace(carry=carry), action, key_env, starts, fixed)

    def steps(loop, t):
        return jax.vmap(step, (0, None, 0, 0))(loop, t, fixed.keys, fixed.starts)

    return jax.lax.scan(steps, loop, time + jnp.arange(CHUNK))


def advance(env: RandomProjection, loop: Loop, action, key, starts, fixed: Fixed):
    """One step of one trial by `action`. Returns the loop, and reward and episode index."""
    control, params = fixed.control, fixed.params

    def next_start(obs, starts, k):
        fresh, state = jax.tree.map(lambda x: x[k], starts)
        # Action, reward and flag are still those of the step before.
        return jnp.concatenate([fresh[: env.obs_size], obs[env.obs_size :]]), state

    state = loop.state.replace(task_id=fixed.task_id)
    obs, state, _, _, info = env.step_env(key, state, action, params)
    over = info["episode_over"]
    alive = loop.episode < params.episodes_per_trial
    out = (
        jnp.where(alive, info["task_reward"], 0.0),
        jnp.where(alive, loop.episode, -1).astype(jnp.int16),
    )
    episode = loop.episode + over.astype(jnp.int16)
    obs, state = dispatch.only_where(
        over & control.redraw_every_episode, next_start, (obs, state), obs, starts, episode
    )
    return Loop(loop.carry, obs, state, over, episode), out
