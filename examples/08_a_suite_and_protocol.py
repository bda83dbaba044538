"""A suite of your own, made by its id from then on, and a frozen protocol to measure it by."""

import metaenvs
from metaenvs.evaluation import PROTOCOLS, Condition, Protocol, RandomPolicy, evaluate, find
from metaenvs.suites import Suite

POLES = Suite(
    id="Poles-v0",
    summary="Poles that move on a cart; held out: one that hangs on a hinge.",
    train=("cartpole_balance", "cartpole_swingup"),
    held_out=("pendulum_swingup",),
    obs_size=8,
    action_size=2,
    projection="permutation",
    action_repeat=10,
)

# Whoever changes one of these numbers gives the protocol another id.
POLES_EVAL = Protocol(
    id="poles-v0-eval1",
    conditions=(Condition("fresh"), Condition("identity", projection="identity")),
    trials_per_task=16,
    episodes=2,
)


def main() -> None:
    metaenvs.register(POLES.id, POLES.make)
    PROTOCOLS[POLES_EVAL.id] = POLES_EVAL
    env, params = metaenvs.make("Poles-v0", split="held_out")
    print(f"{env.name}: observation {env.observation_size}, trials of {env.trial_length(params)}")
    result = evaluate(RandomPolicy(env.action_size), "Poles-v0", "poles-v0-eval1")
    for cell in ("train/fresh", "held_out/fresh", "train/identity", "held_out/identity"):
        for task, row in find(result, cell, "agent")["tasks"].items():
            print(f"{cell:22s} {task:20s} return {row['return']}")


if __name__ == "__main__":
    main()
