"""Whole trials of a policy that is not JAX's: it acts on NumPy arrays between compiled steps."""

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from metaenvs.evaluation.policy import AGENT, Control, RandomPolicy
from metaenvs.evaluation.trials import (
    CHUNK,
    ROWS,
    Fixed,
    Loop,
    Run,
    Stepper,
    Trials,
    advance,
    joined,
    run_trials,
    runs_of,
)
from metaenvs.trial import RandomProjection, TrialParams


class HostPolicy(Protocol):
    """What `evaluate(..., backend="host")` takes: written in NumPy, PyTorch or anything else."""

    def init_carry(self, n: int) -> Any:
        """An empty memory for `n` trials."""
        ...

    def act(
        self, carry: Any, obs: np.ndarray, reset: np.ndarray, rng: np.random.Generator
    ) -> tuple[Any, Any]:
        """The memory and actions `[n, action_size]` for `obs [n, observation_size]` float32.

        Where `reset [n]` holds, the memory is emptied *before* `obs` is read. Actions are
        anything that NumPy makes an array of. What `rng` draws is the same in every evaluation.
        """
        ...


def run_trials_on_host(
    policy: HostPolicy,
    env: RandomProjection,
    tasks: Iterable[str],
    *,
    trials_per_task: int,
    seed: int,
    control: Control = AGENT,
    params: TrialParams | None = None,
    starts: int | None = None,
    progress: Callable[[int], None] = lambda steps: None,
) -> Trials:
    """As `run_trials`, the same trials, for a policy that acts on NumPy arrays.

    The trials of a task go side by side, at most 64, and the policy acts once for all of them.

    Raises:
        ValueError: unknown task, no trials, or actions of the wrong shape or not finite.
    """
    if control.random:
        return run_trials(
            RandomPolicy(env.action_size),
            env,
            tasks,
            trials_per_task=trials_per_task,
            seed=seed,
            control=control,
            params=params,
            starts=starts,
            progress=progress,
        )
    runs, numbers = runs_of(env, tasks, trials_per_task, seed, control, params, starts)
    results = [
        _block(policy, env, run, block, control, (seed, zlib.crc32(run.task.encode())), progress)
        for run in runs
        for block in numbers
    ]
    return joined(runs, results)


def _block(
    policy: HostPolicy,
    env: RandomProjection,
    run: Run,
    numbers: range,
    control: Control,
    seed: tuple[int, int],
    progress: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Rewards and episode indices, `[T, n]`, of the trials `numbers`."""
    rows = len(numbers)
    fixed = run.start(numbers, jax.local_devices()[0])
    loop = _first(fixed.starts)
    rng = np.random.default_rng([*seed, numbers[0]])
    carry, actions = policy.init_carry(rows), np.zeros((ROWS, env.action_size), np.float32)
    rewards = np.zeros((run.length, rows), np.float32)
    episode = np.full((run.length, rows), -1, np.int16)
    for t in range(run.length):
        # Copies: what a policy keeps or scales must not be JAX's own memory.
        obs, over = np.array(loop.obs[:rows]), np.asarray(loop.over[:rows])
        always = t == 0 or control.wipe_every_step
        reset = np.ones(rows, bool) if always else over & control.wipe_every_episode
        carry, action = policy.act(carry, obs, reset, rng)
        actions[:rows] = _checked(action, (rows, env.action_size), run.task, t)
        loop, (reward, index) = _step(run.stepper, loop, actions, t, fixed)
        rewards[t], episode[t] = np.asarray(reward)[:rows], np.asarray(index)[:rows]
        if t % CHUNK == CHUNK - 1 or t == run.length - 1:
            progress(rows * (t % CHUNK + 1))
    return rewards, episode


def _checked(action: Any, shape: tuple[int, int], task: str, t: int) -> np.ndarray:
    action = np.asarray(action, np.float32)
    if action.shape != shape:
        raise ValueError(
            f"the policy's actions for {shape[0]} trials have shape {action.shape}, not {shape}"
        )
    if not np.isfinite(action).all():
        row = int(np.flatnonzero(~np.isfinite(action).all(-1))[0])
        raise ValueError(f"step {t} of {task}: the action of row {row} is {action[row].tolist()}")
    return action


@jax.jit
def _first(starts) -> Loop:
    def first(starts):
        obs, state = jax.tree.map(lambda x: x[0], starts)
        return Loop((), obs, state, jnp.zeros((), bool), jnp.zeros((), jnp.int16))

    return jax.vmap(first)(starts)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _step(stepper: Stepper, loop: Loop, actions, t, fixed: Fixed):
    """One step of all rows. Returns the loop, rewards and episode indices `[ROWS]`."""

    def step(loop, action, key, starts):
        key = jax.random.split(jax.random.fold_in(key, t), 3)[2]
        return advance(stepper.env, loop, action, key, starts, fixed)

    return jax.vmap(step)(loop, actions, fixed.keys, fixed.starts)
