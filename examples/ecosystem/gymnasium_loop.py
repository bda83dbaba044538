"""Gymnasium's loop: an own policy, many trials at once, and the end of each."""

import gymnasium
import numpy as np

import metaenvs.adapters.gymnasium  # noqa: F401  registers metaenvs/ID for every id


def main(
    steps: int = 1000, num_envs: int = 32, env_id: str = "metaenvs/RandomProjection-Lite-v0"
) -> None:
    envs = gymnasium.make_vec(env_id, num_envs=num_envs)  # split="held_out" for the other tasks
    obs, _ = envs.reset(seed=0)
    memory, returns = np.zeros((num_envs, 2), np.float32), []
    rng = np.random.default_rng(0)
    for _ in range(steps):
        # A memory of one's own: a slowly changing action, forgotten when a trial is over.
        memory = np.clip(0.9 * memory + 0.3 * rng.normal(size=memory.shape), -1, 1)
        obs, _, terminated, truncated, infos = envs.step(memory.astype(np.float32))
        over = terminated | truncated
        memory[over] = 0.0
        if over.any():
            # obs is the next trial's already; the last one's is in final_obs, with its info.
            returns += list(infos["final_info"]["trial_return"][over])
            assert infos["final_obs"][np.flatnonzero(over)[0]].shape == obs[0].shape
    print(f"{len(returns)} trials, mean return {np.mean(returns):.1f}")


if __name__ == "__main__":
    main()
