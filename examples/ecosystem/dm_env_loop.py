"""dm_env's loop over trials. Needs: pip install dm_env"""

import numpy as np

from metaenvs.adapters.dm_env import TrialEnvironment


def main(trials: int = 2, env_id: str = "RandomProjection-Lite-v0") -> None:
    env = TrialEnvironment(env_id, seed=0)
    spec, rng = env.action_spec(), np.random.default_rng(0)
    for trial in range(trials):
        timestep, total, steps = env.reset(), 0.0, 0
        while not timestep.last():
            timestep = env.step(rng.uniform(spec.minimum, spec.maximum, spec.shape))
            total, steps = total + timestep.reward, steps + 1
        # Discount 1: the trial was cut off by its time limit, it did not fail.
        print(f"trial {trial}: {steps} steps, return {total:.1f}, discount {timestep.discount}")


if __name__ == "__main__":
    main()
