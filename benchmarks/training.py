"""How fast does PPO train, by model and by length of its sequences, and where does the time go?

Shares of one update: the environment (its rollout alone, under random actions), acting
(the rollout with the network, less the environment), learning (the rest).
"""

import jax

from agents.config import ModelConfig, TrainConfig
from agents.learner.trainer import Trainer
from agents.sequence_models import MODELS
from benchmarks.report import Plot, Result
from metaenvs.benchmarks import environments, interleaved, ratio

ENVS = 64
EPISODES = (1, 2, 4)
"""Per trial, of 250 steps each: a sequence is a trial."""


def run(quick: bool) -> Result:
    models = ("s5", "gru") if quick else tuple(MODELS)
    rows = []
    for episodes in EPISODES[:1] if quick else EPISODES:
        cases = {name: Update(name, episodes) for name in models}
        timed: dict = dict(cases)
        for name, case in cases.items():
            timed[f"{name} acting"] = case.rollout
        trainer = cases[models[0]].trainer
        length = trainer.rollout_length
        timed["env"] = environments.Rollout(trainer.env, trainer.env_params, ENVS, length)
        times = interleaved(timed, repetitions=3)
        for name in models:
            acting = ratio(times[f"{name} acting"], times[name])
            env = ratio(times["env"], times[name])
            rows.append(
                {
                    "model": name,
                    "sequence": length,
                    "steps/s": ENVS * length / times[name].median,
                    "env share": env,
                    "acting share": acting - env,
                    "learning share": 1.0 - acting,
                }
            )
    return Result(rows, plots=(Plot("sequence", "steps/s", "model"),))


class Update:
    """One update after the other of a trainer on the Lite suite."""

    def __init__(self, model: str, episodes: int):
        config = TrainConfig(
            envs=ENVS, episodes_per_trial=episodes, model=ModelConfig(memory=model)
        )
        self.trainer = Trainer(config)
        self._state = self.trainer.init()
        self._collect = jax.jit(self.trainer._rollout)

    def __call__(self) -> jax.Array:
        self._state, _ = self.trainer.update(self._state)
        return self._state.obs

    def rollout(self) -> jax.Array:
        """The update's rollout alone."""
        state, *experience = self._collect(self._state, jax.random.key(0))
        return state.obs, experience
