"""What a frozen id does: its draws and the beginnings of its trials, as numbers to compare.

`python -m tests.frozen_traces ID` writes `tests/frozen/ID.npz`, which must not exist: an id
that is frozen stays as it is, and what behaves differently is a new id.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import metaenvs

FOLDER = Path(__file__).with_name("frozen")
DRAWS = 64  # trials whose tasks are compared, and of the first few also the projections
PROJECTIONS = 8
COPIES = 2  # trials of each task that are followed
STEPS = 48  # before differences of rounding can have grown
EVERY = 4  # steps between the observations that are kept


def traces(env_id: str) -> dict[str, np.ndarray]:
    """Arrays by name.

    * `names`, and for each split `task_id [DRAWS]`, `observation_map` and `action_map`
      `[PROJECTIONS, ...]`: what trials draw.
    * Of `COPIES` trials of each task under set actions, one after the other along the
      first axis: `start [n, O]`, the first observation; `observation [n, STEPS / EVERY, O]`
      and `reward [n, STEPS]`; at the end of the first episode, `episode_length [n]`, and
      `final_observation [n, O]` and `next_start [n, O]` of the projected parts, which
      depend on no step before; `next_task_id [n]`.
    """
    env, params = metaenvs.make(env_id)
    seen: dict[str, np.ndarray] = {"names": np.array(env.task_names)}
    keys = jax.random.split(jax.random.key(1), DRAWS)
    reset = jax.jit(jax.vmap(env.reset, (0, None)))
    for split in env.splits:
        _, state = reset(keys, env.params_for(split=split))
        seen |= {
            f"{split} task_id": state.task_id,
            f"{split} observation_map": state.projection.observation[:PROJECTIONS],
            f"{split} action_map": state.projection.action[:PROJECTIONS],
        }

    n_tasks = len(env.task_names)
    weights = jnp.repeat(jnp.eye(n_tasks), COPIES, axis=0)
    n = len(weights)
    params, axes = params.replace(task_weights=weights), jax.tree.map(lambda _: None, params)
    axes = axes.replace(task_weights=0)
    length = env.trial_length(env.params_for(tasks=env.task_names))
    time = np.arange(length)[:, None, None]
    phase = np.arange(n)[:, None] + 0.7 * np.arange(env.action_size)
    actions = jnp.asarray(np.sin(0.15 * time + phase), jnp.float32)

    def step(loop, inputs):
        key, action = inputs
        obs, state, reward, _, truncated, info = jax.vmap(env.step, (0, 0, 0, axes))(
            jax.random.split(key, n), loop[1], action, params
        )
        kept = (obs, reward, truncated, info["final_observation"], info["episode_length"])
        return (obs, state), (*kept, state.task_id)

    def follow(key):
        key_reset, key_steps = jax.random.split(key)
        start = jax.vmap(env.reset, (0, axes))(jax.random.split(key_reset, n), params)
        return start[0], jax.lax.scan(step, start, (jax.random.split(key_steps, length), actions))

    start, (_, trace) = jax.jit(follow)(jax.random.key(2))
    obs, reward, truncated, final, episode_length, task_id = jax.tree.map(np.asarray, trace)
    last = truncated.argmax(axis=0), np.arange(n)
    return {name: np.asarray(x) for name, x in seen.items()} | {
        "start": np.asarray(start),
        "observation": obs[:STEPS:EVERY].swapaxes(0, 1),
        "reward": reward[:STEPS].T,
        "episode_length": episode_length[last],
        "final_observation": final[last][:, : env.obs_size],
        "next_start": obs[last],
        "next_task_id": task_id[last],
    }


def path(env_id: str) -> Path:
    return FOLDER / f"{env_id}.npz"


def main(env_id: str) -> None:
    if path(env_id).exists():
        raise SystemExit(f"{path(env_id)} exists: {env_id} is frozen, new behaviour is a new id")
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(path(env_id), **traces(env_id))
    print(f"wrote {path(env_id)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
