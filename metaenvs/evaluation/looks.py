"""The one table of how a policy of an evaluation is called and drawn: the agent, its controls."""

import dataclasses
from typing import Any

from metaenvs.evaluation.policy import (
    AGENT,
    RANDOM,
    REDRAWN_EVERY_EPISODE,
    WIPED_EVERY_EPISODE,
    WIPED_EVERY_STEP,
)


@dataclasses.dataclass(frozen=True)
class Look:
    """How results, tables and pictures show a policy.

    Attributes:
        label: in a legend.
        short: at the head of a narrow column.
        colour: of its curve. Okabe and Ito's: distinguishable with every kind of colour vision.
        line: Matplotlib's style of its curve.
    """

    label: str
    short: str
    colour: str
    line: Any


LOOKS: dict[str, Look] = {
    AGENT.name: Look("agent", "agent", "#0072B2", "-"),
    WIPED_EVERY_STEP.name: Look(
        "hidden state reset at every step", "reset,\nsteps", "#D55E00", "-."
    ),
    WIPED_EVERY_EPISODE.name: Look(
        "hidden state reset at every episode", "reset,\nepisodes", "#009E73", "--"
    ),
    REDRAWN_EVERY_EPISODE.name: Look(
        "projection redrawn at every episode",
        "redrawn,\nepisodes",
        "#CC79A7",
        (0, (5, 1, 1, 1, 1, 1)),
    ),
    RANDOM.name: Look("random", "random", "#777777", ":"),
}
"""By the `name` of a `Control`, which is its id in results."""

_OTHERS = (("#E69F00", (0, (3, 1))), ("#56B4E9", (0, (8, 2))), ("#000000", (0, (1, 1))))


def look(policy: str) -> Look:
    """How the policy of that name is shown; a control of your own by its name."""
    if policy in LOOKS:
        return LOOKS[policy]
    # The same in every picture, whatever else is shown.
    colour, line = _OTHERS[sum(policy.encode()) % len(_OTHERS)]
    return Look(policy, policy, colour, line)
