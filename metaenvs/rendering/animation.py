"""A trial as an animated GIF: the task as we see it, its projection as the agent does."""

import base64
import dataclasses
import math
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from metaenvs import files, keys, tasks
from metaenvs.evaluation import Policy, RandomPolicy
from metaenvs.rendering import scenes
from metaenvs.rendering.frames import HISTORY, Moment, Picture
from metaenvs.tasks.base import Task
from metaenvs.trial import RandomProjection, TrialParams

# Frames drawn if the caller does not say how many: a few seconds' work, under 2 MB.
_FRAMES = 150
_COLOURS = 192


@dataclasses.dataclass(frozen=True)
class Rollout:
    """The first `n` steps of a trial. Index t is the time after t steps, from 0 to n.

    Attributes:
        task: of the trial.
        params: the task's, with the dynamics that the trial drew.
        observed: names and sizes of the observation's parts.
        state: of the bare task, leaves `[n + 1, ...]`.
        observation: `[n + 1, observation_size]` what the agent saw.
        action: `[n + 1, n_act]` the task's action that led here, zero at t = 0.
        reward: `[n + 1]` the task's reward for it.
        episode: `[n + 1]` index of the episode in which it was paid.
        episode_return: `[n + 1]` up to and including it.
    """

    task: Task
    params: Any
    observed: tuple[tuple[str, int], ...]
    state: Any
    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    episode: np.ndarray
    episode_return: np.ndarray

    def times(self, episode: int | None = None) -> range:
        """Indices of all times, or of those after the steps of one episode."""
        if episode is None:
            return range(len(self.reward))
        here = np.flatnonzero(self.episode == episode)
        return range(int(here[0]), int(here[-1]) + 1)

    def moments(self, every: int = 1, episode: int | None = None) -> Iterator[Moment]:
        """Every so many steps, of the whole or of one episode."""
        seen = self._scaled()
        for t in self.times(episode)[::every]:
            yield Moment(
                state=jax.tree.map(lambda x, t=t: x[t], self.state),
                action=self.action[t],
                text=(
                    f"step {t:4d}  episode {self.episode[t] + 1}  "
                    f"reward {self.reward[t]:5.2f}  return {self.episode_return[t]:6.1f}"
                ),
                observations=seen[max(0, t + 1 - HISTORY) : t + 1],
            )

    def _repr_html_(self) -> str | None:
        """The animation, as a notebook shows it; None for a task that cannot be drawn."""
        if not scenes.has_scene(self.task):
            return None
        with tempfile.TemporaryDirectory() as folder:
            gif = write_gif(self, Path(folder) / "trial.gif")
            data = base64.b64encode(gif.read_bytes()).decode()
        return f'<img src="data:image/gif;base64,{data}" alt="A trial">'

    def _scaled(self) -> np.ndarray:
        """Observations in [-1, 1], each part by its own size; actions and flags are there."""
        scaled = self.observation.copy()
        start = 0
        for part, size in self.observed:
            values = scaled[:, start : start + size]
            if part == "projected":
                # Few values are the largest; they would make all others pale.
                values /= max(np.quantile(np.abs(values), 0.98), 1e-6)
            elif part == "reward":
                values /= max(np.abs(values).max(), 1.0)
            start += size
        return np.clip(scaled, -1.0, 1.0)


def roll_out(
    env: RandomProjection | Task | str,
    task: str | None = None,
    policy: Policy | None = None,
    steps: int | None = None,
    seed: int = 0,
    episodes: int | None = None,
    params: TrialParams | None = None,
) -> Rollout:
    """The beginning of a trial of one task.

    Args:
        env: a trial environment, or a task (or its name) for one with that task only.
        task: which of the environment's tasks; needed if it has several.
        policy: see `metaenvs.evaluation.Policy` (default: uniformly random actions).
        steps: of the environment (default: 300, or the whole trial if that is shorter).
        seed: of the trial's projection, its initial states and the policy's samples.
        episodes: of the trial, all of which are rolled out (default: as many as the
            environment's trials have).
        params: of a trial environment's trials, apart from the task and `episodes` (default:
            its own).

    Raises:
        ValueError: unknown task, none chosen, or `steps` beyond the trial's end.
        TypeError: `env` is something else.
    """
    env, name = _environment(env, task)
    task_id = env.task_names.index(name)
    chosen = env.params_for(tasks=(name,), episodes_per_trial=episodes)
    if params is not None:
        params = params.replace(task_weights=chosen.task_weights)
        if episodes is not None:
            params = params.replace(episodes_per_trial=chosen.episodes_per_trial)
    params = chosen if params is None else params
    longest = env.trial_length(params)
    if steps is None:
        steps = longest if episodes is not None else min(300, longest)
    if not 1 <= steps <= longest:
        raise ValueError(f"steps must be from 1 to {longest}, the trial's length, got {steps}")
    policy = RandomPolicy(env.action_size) if policy is None else policy

    @jax.jit
    def run(key):
        key_reset, key_steps = jax.random.split(key)
        obs, state = env.reset(key_reset, params)
        bare = partial(env.tasks.unpack, task_id)

        def step(loop, t):
            carry, obs, state = loop
            key_act, key_env = jax.random.split(jax.random.fold_in(key_steps, t))
            carry, action = policy.act(carry, obs[None], (t == 0)[None], key_act)
            action = jnp.clip(action[0], -1.0, 1.0)
            u = jnp.clip(state.projection.action @ action, -1.0, 1.0)
            # Not `env.step`: it would show a new trial's start where this one ends.
            obs, state, _, _, info = env.step_env(key_env, state, action, params)
            keep = (
                bare(state.task_state),
                obs,
                u,
                info["task_reward"],
                info["episode_index"],
                info["episode_return"],
            )
            return (carry, obs, state), keep

        first = (bare(state.task_state), obs)
        loop = (policy.init_carry(1), obs, state)
        return state.dynamics, first, jax.lax.scan(step, loop, jnp.arange(steps))[1]

    dynamics, first, after = jax.tree.map(np.asarray, run(keys.key(seed)))
    first = (*first, *(np.zeros_like(x[0]) for x in after[2:]))
    state, observation, action, reward, episode, episode_return = jax.tree.map(
        lambda x, xs: np.concatenate([x[None], xs]), first, after
    )
    bare_task = env.tasks.tasks[task_id]
    sizes = {"action": env.action_size, "reward": 1, "done": 1}
    return Rollout(
        task=bare_task,
        params=bare_task.scaled(bare_task.default_params, dynamics),
        observed=(
            ("projected", env.obs_size),
            *((part, sizes[part]) for part in env.observe),
        ),
        state=state,
        observation=observation,
        action=action[:, : bare_task.action_space(bare_task.default_params).shape[0]],
        reward=reward,
        episode=episode,
        episode_return=episode_return,
    )


def _environment(
    env: RandomProjection | Task | str, task: str | None
) -> tuple[RandomProjection, str]:
    """A trial environment and the name of a task of it."""
    if not isinstance(env, RandomProjection):
        alone = tasks.make(env) if isinstance(env, str) else env
        if not isinstance(alone, Task):
            raise TypeError(f"needed: a trial environment, a task or a task's name; got {env!r}")
        params = alone.default_params
        # The sizes of the paper's suite, if they are enough.
        env = RandomProjection(
            [alone],
            obs_size=max(12, math.prod(alone.observation_space(params).shape)),
            action_size=max(2, math.prod(alone.action_space(params).shape)),
        )
    if task is None:
        if len(env.task_names) > 1:
            raise ValueError(f"say which task: one of {', '.join(env.task_names)}")
        task = env.task_names[0]
    env.params_for(tasks=(task,))  # refuses an unknown one
    return env, task


def writable(path: Path | str, what: str, ending: str, overwrite: bool) -> Path:
    """The path of a picture that may be written.

    Raises:
        FileExistsError: if there is a file and it is not to be replaced.
        OSError: if nothing can be written there.
        ValueError: another ending.
    """
    path = Path(path)
    if path.suffix.lower() != ending:
        raise ValueError(f"{what}'s name must end in {ending}, got {str(path)!r}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; replace it with overwrite=True")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        return path


def save_gif(
    env: RandomProjection | Task | str,
    path: Path | str,
    *,
    task: str | None = None,
    policy: Policy | None = None,
    steps: int | None = None,
    seed: int = 0,
    fps: int = 25,
    every: int | None = None,
    overwrite: bool = False,
    params: TrialParams | None = None,
) -> Path:
    """Roll out a trial of one task and draw it; returns the path of the GIF.

    Args:
        env, task, policy, steps, seed, params: see `roll_out`.
        path: of the GIF. Missing folders are made.
        fps: frames per second, at most 50, which is all that viewers play.
        every: draw one step out of so many (default: so that there are about 150 frames).
        overwrite: replace a file that is already there.

    Raises:
        FileExistsError: if there is a file and it is not to be replaced.
        ValueError: another ending than .gif, or see `roll_out` and `scenes.find`.
    """
    path = writable(path, "a GIF", ".gif", overwrite)
    if not 1 <= fps <= 50:
        raise ValueError(f"fps must be from 1 to 50, got {fps}")
    if every is not None and every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    env, task = _environment(env, task)
    scenes.find(env.tasks.tasks[env.task_names.index(task)])  # before the work, not after
    rollout = roll_out(env, task, policy, steps, seed, params=params)
    return write_gif(rollout, path, fps=fps, every=every)


def write_gif(
    rollout: Rollout,
    path: Path,
    *,
    episode: int | None = None,
    fps: int = 25,
    every: int | None = None,
) -> Path:
    """Draw a rollout, or one episode of it; returns the path. See `save_gif`."""
    if every is None:
        every = max(1, math.ceil((len(rollout.times(episode)) - 1) / _FRAMES))
    picture = Picture(rollout.task, rollout.params, rollout.observed)
    moments = rollout.moments(every, episode)
    _write([Image.fromarray(picture.draw(moment)) for moment in moments], path, fps)
    return path


def _write(images: list[Image.Image], path: Path, fps: int) -> None:
    # One palette for all frames: what stands still then has the same bytes in every
    # frame, and only differences are stored. It is taken from a few frames side by side.
    width, height = images[0].size
    some = images[:: max(1, len(images) // 6)]
    sample = Image.new("RGB", (width * len(some), height))
    for i, image in enumerate(some):
        sample.paste(image, (i * width, 0))
    palette = sample.quantize(_COLOURS, dither=Image.Dither.NONE)
    first, *rest = (x.quantize(palette=palette, dither=Image.Dither.NONE) for x in images)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as unfinished:
        first.save(
            unfinished,
            format="GIF",
            save_all=True,
            append_images=rest,
            # GIFs count in hundredths of a second.
            duration=10 * round(100 / fps),
            loop=0,
        )
