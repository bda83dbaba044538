"""The one table of protocols: which trials are run, and how they are told apart."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from metaenvs.evaluation.policy import (
    RANDOM,
    REDRAWN_EVERY_EPISODE,
    WIPED_EVERY_EPISODE,
    WIPED_EVERY_STEP,
    Control,
)

QUICK = "-quick"
"""At the end of the id of a protocol that is no more than a first look."""

TRAINED, UNSEEN = "trained", "unseen"
_UNSEEN = ("gaussian", "free")


@dataclasses.dataclass(frozen=True)
class Condition:
    """How trials are drawn, and which controls are run on them.

    Attributes:
        name: of the cells `SPLIT/NAME`.
        projection: a family; or `TRAINED`, the one that the suite trains on; or `UNSEEN`,
            one on which it does not.
        splits: whose tasks.
        more_episodes: more of them than any agent of the suite was trained on.
        projection_scale: factor on the projected observation; 1 in training.
        dynamics: ranges of the factors on the tasks' physical constants, as
            `RandomProjection.params_for` takes them, instead of the split's own.
        controls: besides the policy itself.
    """

    name: str
    projection: str = TRAINED
    splits: tuple[str, ...] = ("train", "held_out")
    more_episodes: bool = False
    projection_scale: float = 1.0
    dynamics: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    controls: tuple[Control, ...] = ()

    def family(self, trained: str) -> str:
        """The projection family, in a suite that trains on the family `trained`."""
        if self.projection == UNSEEN:
            return next(family for family in _UNSEEN if family != trained)
        return trained if self.projection == TRAINED else self.projection


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A frozen evaluation.

    Attributes:
        id: version of the protocol; results of different protocols are not compared.
        conditions: run one after the other.
        trials_per_task: trials of every task in every cell.
        episodes: of a trial; more if the suite's own trials are longer.
        more_episodes: of a trial where a condition asks for more; at least twice as many
            as the suite's own trials have.
        seed: of all trials.
        bins: of steps in an adaptation curve.
    """

    id: str
    conditions: tuple[Condition, ...]
    trials_per_task: int = 64
    episodes: int = 4
    more_episodes: int = 16
    seed: int = 2303
    bins: int = 40

    def episodes_of(self, condition: Condition, own: int) -> int:
        """Episodes of a trial, in a suite whose own trials have `own`."""
        if condition.more_episodes:
            return max(self.more_episodes, 2 * own)
        return max(self.episodes, own)

    def quick(self) -> "Protocol":
        """A first look: few trials of the first condition. Its results are none of the protocol.

        Its id is another, so that they are not compared with those of the protocol.
        """
        first = self.conditions[0]
        controls = tuple(c for c in first.controls if c in (RANDOM, WIPED_EVERY_STEP))
        return dataclasses.replace(
            self,
            id=f"{self.id}{QUICK}",
            conditions=(dataclasses.replace(first, controls=controls),),
            trials_per_task=min(8, self.trials_per_task),
            episodes=min(2, self.episodes),
        )

    def as_json(self) -> dict[str, Any]:
        """The whole protocol, as results hold it."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return values | {"conditions": [_condition_as_json(c) for c in self.conditions]}


def _condition_as_json(condition: Condition) -> dict[str, Any]:
    values = {f.name: getattr(condition, f.name) for f in dataclasses.fields(condition)}
    return values | {
        "splits": list(condition.splits),
        "dynamics": {kind: list(bounds) for kind, bounds in condition.dynamics.items()},
        "controls": [dataclasses.asdict(control) for control in condition.controls],
    }


PROTOCOLS: dict[str, Protocol] = {
    protocol.id: protocol
    for protocol in (
        Protocol(
            id="rp-v0-eval1",
            conditions=(
                Condition(
                    "fresh",
                    controls=(
                        RANDOM,
                        WIPED_EVERY_STEP,
                        WIPED_EVERY_EPISODE,
                        REDRAWN_EVERY_EPISODE,
                    ),
                ),
                Condition("identity", projection="identity"),
                Condition("unseen_family", projection=UNSEEN),
                Condition("more_episodes", more_episodes=True),
                Condition("half_scale", splits=("train",), projection_scale=0.5),
                Condition("double_scale", splits=("train",), projection_scale=2.0),
                Condition(
                    "other_dynamics",
                    splits=("train",),
                    # Beyond what any suite trains on.
                    dynamics=dict.fromkeys(("mass", "length", "damping", "gear"), (1.3, 1.8)),
                ),
            ),
        ),
    )
}
