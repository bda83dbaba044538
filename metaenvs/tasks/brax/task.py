"""Brax environments as tasks. Brax is imported only when one is made.

Source: Freeman et al. 2021 (arXiv 2106.13281), https://github.com/google/brax.
Needs `pip install "brax>=0.14.2" "mujoco<4"`.
"""

import contextlib
import io
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import spaces

from metaenvs import errors, keys
from metaenvs.precision import in_32_bits
from metaenvs.tasks.base import Task, TaskParams

BACKENDS = ("mjx", "generalized", "spring")

# Environment to the backend it runs on by default. mjx is MuJoCo's own physics and comes
# first where it keeps up; generalized has the same joints, inertias and contacts in
# Brax's own solver and comes first where mjx is several times slower; spring is the
# fastest and a different physics (a random policy's hopper stands 100 steps instead of
# 22, its ant hardly ever falls), so it is no default.
BRAX_TASKS: dict[str, str] = {
    "inverted_pendulum": "mjx",
    "inverted_double_pendulum": "mjx",
    "reacher": "mjx",  # more than twice as fast as generalized
    "ant": "mjx",  # twice as fast as generalized
    "humanoid": "mjx",  # four times as fast as generalized
    "hopper": "generalized",  # mjx: a third of the speed
    "walker2d": "generalized",  # mjx: a fifth
    "halfcheetah": "generalized",  # mjx: half
    "pusher": "generalized",  # mjx: an eightieth
}

# A dimension that random actions hardly move is not blown up to unit variance: a trained
# policy moves it more. In the units of the observation (m, rad, m/s, rad/s).
LEAST_SCALE = 0.1


@in_32_bits
def from_brax(
    env: Any,
    backend: str | None = None,
    max_steps: int = 1000,
    *,
    name: str | None = None,
    normalize: bool | tuple[Any, Any] = True,
    **kwargs: Any,
) -> Task:
    """A Brax environment as a task: `from_brax("ant")`, `from_brax("ant", "spring")`.

    Dynamics, rewards, termination and initial states are Brax's; on the generalized
    backend of a named environment to rounding error (`generalized`). What changes:

    * Actions are clipped to [-1, 1] first (Brax's control costs take them as they come).
    * Observations are normalised by constants, (x - mean) / max(std, `LEAST_SCALE`), of
      random actions on the default backend: the scales of one environment's dimensions
      run from 0 to 81, and a random projection would drown the small ones.
    * An episode is truncated after `max_steps` steps.
    * A step that yields a value that is not finite terminates the episode, with reward
      0 and observation 0 (the mean).

    Rewards stay as Brax has them, oddities too: inverted_pendulum pays 1 on every step,
    that of failure included; pusher pays for the state before the step; humanoid pays 5
    for being alive.

    Args:
        env: a name in `BRAX_TASKS`, or an instance of `brax.envs.Env` without Brax's
            wrappers for training (a trial resets and counts steps by itself).
        backend: one of `BACKENDS` (default: that of `BRAX_TASKS`); only with a name.
            The constants to normalise are the same on all.
        max_steps: time limit of an episode.
        name: of the task (default: the environment's).
        normalize: True for the constants above, which only environments in `BRAX_TASKS`
            have; others are left as they are. False for Brax's own observations. A pair
            (mean, std), each `[observation_size]`, for constants of your own, as
            `measure_observations` returns them.
        **kwargs: for the environment's constructor; only with a name.

    Raises:
        ImportError: Brax is not installed.
        ValueError: unknown name or backend (the choices are listed); constants of
            another size than the observation; max_steps below 1.
        TypeError: not a name nor a Brax environment; one that is wrapped, or whose
            observation is not one vector; backend or kwargs beside an instance.
    """
    if max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, got {max_steps}")
    constants = None if isinstance(normalize, bool) else normalize
    if isinstance(env, str):
        default = errors.lookup(BRAX_TASKS, env, "Brax environment")
        backend = default if backend is None else backend
        if backend not in BACKENDS:
            raise errors.unknown(backend, BACKENDS, "Brax backend")
        if normalize is True:
            constants = _observation_table()[env]
        name = env if name is None else name
        envs = import_envs()
        with _quiet(), _mujoco_warns_through_python(), jax.ensure_compile_time_eval():
            env = envs.get_environment(env, backend=backend, **kwargs)
        if backend == "generalized":
            from metaenvs.tasks.brax import generalized

            env._pipeline = generalized
    else:
        envs = import_envs()
        if backend is not None or kwargs:
            raise TypeError("backend and keywords go with a name, not with an environment object")
        _check_bare(env, envs)
        name = type(env).__name__.lower() if name is None else name
    return BraxTask(env, name, BraxParams(max_steps_in_episode=max_steps), constants)


class BraxParams(TaskParams):
    """`max_steps_in_episode`: time limit of an episode."""


class BraxState(struct.PyTreeNode):
    """What a step needs of Brax's state.

    Attributes:
        leaves: those leaves of `brax.envs.State`, of which `BraxTask.brax_state` makes
            a whole one.
        time: steps taken.
    """

    leaves: tuple[jax.Array, ...]
    time: jax.Array


# Of Brax's own environments, and of others that keep its interface (`from_playground`).
_COORDINATES = (".pipeline_state.q", ".pipeline_state.qd", ".data.qpos", ".data.qvel")


class BraxTask(Task):
    """A Brax environment behind Gymnax's interface; `brax_env` is the environment.

    Brax's states carry thousands of numbers, most of them results of the step just taken.
    Only those that the next step depends on are kept, found once from the step's own
    program, and the joint coordinates `q`, `qd` for whoever wants to look.
    """

    @in_32_bits
    def __init__(self, env: Any, name: str, params: BraxParams, constants: Any = None):
        super().__init__(name, params)
        self.brax_env = env
        # Jitted, so that Brax's Python runs once however many programs contain the task.
        self._brax_reset, self._brax_step = jax.jit(env.reset), jax.jit(env.step)
        self._trace()
        size = self._state.obs.shape
        mean, std = (np.zeros(size), np.ones(size)) if constants is None else constants
        self._mean = np.asarray(mean, np.float32)
        self._scale = np.asarray(std, np.float32)
        if constants is not None:
            self._scale = np.maximum(self._scale, np.float32(LEAST_SCALE))
        if self._mean.shape != size or self._scale.shape != size:
            raise ValueError(
                f"{name}: observations have shape {size}, the constants to normalise them "
                f"{self._mean.shape} and {self._scale.shape}; give normalize=False or "
                "normalize=(mean, std)"
            )

    def _trace(self) -> None:
        env, name = self.brax_env, self.name
        with _quiet():
            key = jax.eval_shape(lambda: keys.key(0))
            self._state = jax.eval_shape(self._brax_reset, key)
            if not isinstance(self._state.obs, jax.ShapeDtypeStruct) or self._state.obs.ndim != 1:
                raise TypeError(f"{name}: observation {self._state.obs}; a task needs one vector")
            action = jax.ShapeDtypeStruct((env.action_size,), jnp.float32)
            program, after = jax.make_jaxpr(self._brax_step, return_shape=True)(self._state, action)
        self._structure = jax.tree.structure(self._state)
        self._shapes = jax.tree.leaves(self._state)
        names, names_after = _leaf_names(self._state), _leaf_names(after)
        if names != names_after:
            raise TypeError(f"{name}: a step turns Brax's state from {names} to {names_after}")
        for leaf, before, x in zip(names, self._shapes, jax.tree.leaves(after), strict=True):
            if before.shape != x.shape:
                raise TypeError(f"{name}: a step turns {leaf} from {before.shape} to {x.shape}")
        shown = [n in (".obs", ".reward", ".done") for n in names]
        coordinates = [n in _COORDINATES for n in names]
        self._kept = _needed(program.jaxpr, shown, coordinates)

    @property
    def num_actions(self) -> int:
        return self.brax_env.action_size

    def action_space(self, params: BraxParams | None = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (self.brax_env.action_size,))

    def observation_space(self, params: BraxParams | None = None) -> spaces.Box:
        return spaces.Box(-jnp.inf, jnp.inf, self._state.obs.shape)

    def brax_state(self, state: BraxState) -> Any:
        """`state` as a `brax.envs.State`; entries that no step reads are zero."""
        kept = iter(state.leaves)
        leaves = [
            next(kept) if keep else jnp.zeros(x.shape, x.dtype)
            for keep, x in zip(self._kept, self._shapes, strict=True)
        ]
        return jax.tree.unflatten(self._structure, leaves)

    def _from_brax(self, full: Any, time: jax.Array) -> BraxState:
        leaves = jax.tree.leaves(full)
        return BraxState(
            tuple(
                jnp.asarray(leaf, x.dtype)
                for keep, leaf, x in zip(self._kept, leaves, self._shapes, strict=True)
                if keep
            ),
            time,
        )

    def _observation(self, full: Any) -> jax.Array:
        return (jnp.asarray(full.obs, jnp.float32) - self._mean) / self._scale

    @in_32_bits
    def reset_env(self, key: jax.Array, params: BraxParams) -> tuple[jax.Array, BraxState]:
        with _quiet():
            full = self._brax_reset(keys.fixed(key))
        return self._observation(full), self._from_brax(full, jnp.zeros((), jnp.int32))

    @in_32_bits
    def step_env(
        self, key: jax.Array, state: BraxState, action: jax.Array, params: BraxParams
    ) -> tuple[jax.Array, BraxState, jax.Array, jax.Array, dict[str, Any]]:
        del key  # Brax keeps what randomness it needs in its state
        action = jnp.clip(jnp.asarray(action, jnp.float32), -1.0, 1.0)
        action = jnp.reshape(action, (self.brax_env.action_size,))
        with _quiet():
            full = self._brax_step(self.brax_state(state), action)
        x, reward = self._observation(full), jnp.asarray(full.reward, jnp.float32)
        # Stepped past an episode's end (in an unselected branch, or inside an action
        # repeat) several backends turn to NaN, which one product with 0 would spread.
        sound = jnp.isfinite(x).all() & jnp.isfinite(reward)
        x, reward = jnp.where(sound, x, 0.0), jnp.where(sound, reward, 0.0)
        terminated = (jnp.asarray(full.done) > 0.5) | ~sound
        return x, self._from_brax(full, state.time + 1), reward, terminated, {}

    def is_truncated(self, state: BraxState, params: BraxParams) -> jax.Array:
        return state.time >= params.max_steps_in_episode


def measure_observations(
    task: Task, key: jax.Array, *, batch: int = 64, steps: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation `[observation_size]` under uniform random actions.

    Over `batch` copies of `task` for `steps` steps, episodes restarting as they end.
    """
    params = task.default_params
    space = task.action_space(params)

    def step(state, key):
        key_action, key_step = jax.random.split(key)
        x, state, *_ = task.step(key_step, state, space.sample(key_action), params)
        return state, x

    def run(key):
        key_reset, key_walk = jax.random.split(key)
        _, state = task.reset(key_reset, params)
        return jax.lax.scan(step, state, jax.random.split(key_walk, steps))[1]

    x = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(key, batch)), np.float64)
    x = x.reshape(-1, x.shape[-1])
    return x.mean(axis=0), x.std(axis=0)


def write_observation_table(path: Path | None = None) -> None:
    """Measure all of `BRAX_TASKS` on their default backends and write the table.

    Takes minutes. Run as
    `python -c "from metaenvs.tasks.brax import task; task.write_observation_table()"`.
    """
    lines = [
        '"""Observations of Brax environments under random actions: mean and deviation.',
        "",
        "Written by `metaenvs.tasks.brax.task.write_observation_table`. Do not edit.",
        '"""',
        "",
        "MEAN_AND_STD: dict[str, tuple[str, str]] = {",
    ]
    for name in sorted(BRAX_TASKS):
        task = from_brax(name, normalize=False)
        lines.append(f'    "{name}": (')
        for numbers in measure_observations(task, jax.random.key(0)):
            text = " ".join(f"{x + 0.0:.3g}" for x in np.round(numbers, 6))
            lines += ['        """', *textwrap.wrap(text, 96), '        """,']
        lines.append("    ),")
    lines += ["}", ""]
    path = Path(__file__).with_name("observations.py") if path is None else path
    path.write_text("\n".join(lines))


def _observation_table() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    from metaenvs.tasks.brax.observations import MEAN_AND_STD

    return {
        name: (np.array(mean.split(), np.float32), np.array(std.split(), np.float32))
        for name, (mean, std) in MEAN_AND_STD.items()
    }


# What Brax and its libraries say on every use, and users can do nothing about.
_NOTICES = (
    "JAXopt is no longer maintained",
    "Brax System, piplines and environments are not actively being maintained",
    r"Accessing `\w+` directly from `Data` is deprecated",
    "compiler attribute 'settotalmass' is deprecated",
)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """These notices, and no other warnings, are kept off the user's screen."""
    with warnings.catch_warnings():
        for message in _NOTICES:
            warnings.filterwarnings("ignore", message=message)
        yield


@contextlib.contextmanager
def _mujoco_warns_through_python() -> Iterator[None]:
    """MuJoCo's own warnings go through `warnings`, not to stderr and MUJOCO_LOG.TXT."""
    import mujoco

    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: warnings.warn(text.strip(), stacklevel=2))
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


def import_envs() -> Any:
    printed = io.StringIO()
    try:
        with _quiet(), contextlib.redirect_stdout(printed):
            from brax import envs
    except ImportError as error:
        raise ImportError(
            f'Brax tasks need Brax: pip install "brax>=0.14.2" "mujoco<4" ({error})'
        ) from error
    for line in printed.getvalue().splitlines():
        if not line.startswith("Failed to import"):  # of warp, an optional part of MJX
            print(line)
    return envs


def _check_bare(env: Any, envs: Any) -> None:
    if not isinstance(env, envs.Env):
        raise TypeError(
            f"from_brax takes a name or an instance of brax.envs.Env, got {env!r}. "
            f"Names: {', '.join(BRAX_TASKS)}"
        )
    training = (
        envs.training.AutoResetWrapper,
        envs.training.EpisodeWrapper,
        envs.training.VmapWrapper,
    )
    layer = env
    while isinstance(layer, envs.Wrapper):
        if isinstance(layer, training):
            raise TypeError(
                f"from_brax takes a bare environment, as brax.envs.get_environment returns it; "
                f"got one in {type(layer).__name__}"
            )
        layer = layer.env


def _leaf_names(tree: Any) -> list[str]:
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [jax.tree_util.keystr(path) for path, _ in paths]


def _needed(jaxpr: Any, shown: list[bool], also: list[bool]) -> list[bool]:
    """Which leaves of the state a step depends on, now or in any later step.

    `jaxpr` takes the state's leaves and an action to the next state's leaves. Needed
    are `also`, and all that needed leaves or those `shown` are computed from.
    """
    try:
        from jax.interpreters.partial_eval import dce_jaxpr
    except ImportError:  # not a stable part of JAX: without it everything is kept
        return [True] * len(shown)
    needed = list(also)
    while True:
        wanted = [s or n for s, n in zip(shown, needed, strict=True)]
        _, read = dce_jaxpr(jaxpr, wanted)
        grown = [n or r for n, r in zip(needed, read[: len(needed)], strict=True)]
        if grown == needed:
            return needed
        needed = grown
