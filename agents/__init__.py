"""The reference agents: resettable S5 (and other memories) trained by recurrent PPO."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaenvs.evaluation import Policy


def load(name: str, deterministic: bool = False) -> "Policy":
    """The policy of an agent that comes with the package; `agents.pretrained.names()`.

    It acts in the environment of its card, as `metaenvs.evaluation.Policy` says:
    `policy.init_carry(n)`, `policy.act(carry, obs, reset, key)`.

    Raises:
        ValueError: if there is no agent of that name; the message lists the names.
    """
    from agents.pretrained import PretrainedAgent
    from agents.runs import evaluate  # imports jax, which the command line sets up first

    return evaluate.load(PretrainedAgent(name), deterministic)[0]
