"""How many times as many steps per second as popgym 1.0.7 does our POPGym make?

1,024 of our environments in one `lax.scan`, on all cores of the machine, against one of
popgym's on one core: popgym has no vector form of its own. Both reset when an episode
ends, and both play actions that were drawn beforehand; our time also holds the split of
each step's key for the environments.
"""

import itertools
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import popgym  # noqa: F401 - registers its environments with gymnasium

import metaenvs
from benchmarks.report import Claim, Result
from metaenvs.benchmarks.timing import interleaved, ratio

ENVIRONMENTS = 1024
STEPS = 512
REFERENCE_STEPS = 1024


def run(quick: bool) -> Result:
    level = "Easy" if quick else ""
    rows = [_row(env_id) for env_id in metaenvs.popgym.ids if level in env_id]
    ratios = [row["ratio"] for row in rows]
    return Result(
        rows,
        (
            Claim("median over ids of our steps/s over popgym's", statistics.median(ratios), 500),
            Claim("the least of them", min(ratios), 20),
        ),
    )


def _row(env_id: str) -> dict[str, Any]:
    timing = interleaved(
        {"ours": _ours(env_id), "popgym": _popgym(env_id)}, repetitions=5, at_least=0.1
    )
    ours = ENVIRONMENTS * STEPS / timing["ours"].median
    theirs = REFERENCE_STEPS / timing["popgym"].median
    per_call = ENVIRONMENTS * STEPS / REFERENCE_STEPS
    return {
        "id": env_id,
        "steps/s": ours,
        "popgym steps/s": theirs,
        "ratio": per_call * ratio(timing["popgym"], timing["ours"]),
        "spread": timing["ours"].spread,
    }


def _ours(env_id: str) -> Callable[[], Any]:
    env, params = metaenvs.make(env_id)
    key_reset, key_action, key = jax.random.split(jax.random.key(0), 3)
    sample = jax.vmap(jax.vmap(env.action_space(params).sample))
    actions = jax.jit(sample)(jax.random.split(key_action, (STEPS, ENVIRONMENTS)))
    obs, state = jax.jit(jax.vmap(env.reset, (0, None)))(
        jax.random.split(key_reset, ENVIRONMENTS), params
    )

    def step(loop, xs):
        key, action = xs
        keys = jax.random.split(key, ENVIRONMENTS)
        obs, state, *given, _ = jax.vmap(env.step, (0, 0, 0, None))(keys, loop[0], action, params)
        return (state, obs, *given), None

    @jax.jit
    def rollout(loop, key, actions):
        return jax.lax.scan(step, loop, (jax.random.split(key, STEPS), actions))[0]

    nothing = jnp.zeros(ENVIRONMENTS)
    loop = (state, obs, nothing, nothing > 0, nothing > 0)
    count = itertools.count()

    def call():
        nonlocal loop
        loop = rollout(loop, jax.random.fold_in(key, next(count)), actions)
        return loop

    return call


def _popgym(env_id: str) -> Callable[[], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of labyrinths, against themselves
        env = gymnasium.make(env_id, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(REFERENCE_STEPS)]
    actions = [int(a) if np.ndim(a) == 0 else a for a in actions]

    def call():
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return call
