"""The one table of suites: versioned ids with their tasks, splits, family and sizes."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

from metaenvs import popgym, tasks
from metaenvs.tasks import Task
from metaenvs.trial import OBSERVE, RandomProjection


@dataclasses.dataclass(frozen=True)
class Suite:
    """A versioned benchmark: which tasks, behind which projections, at which sizes.

    `train` and `held_out` name tasks of `metaenvs.tasks`, or of `own`, which makes tasks
    that only this suite has. `episode_steps` is the most steps of an episode, which the tasks
    decide (a test compares); here so that it can be shown without making them.
    """

    id: str
    summary: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    obs_size: int
    action_size: int
    projection: str = "orthogonal"
    episodes_per_trial: int = 1
    action_repeat: int = 1
    episode_steps: int = 1000
    reward_scale: Mapping[str, float] = dataclasses.field(default_factory=dict)
    dynamics: Mapping[str, Mapping[str, tuple[float, float]]] = dataclasses.field(
        default_factory=dict
    )
    own: Mapping[str, Callable[[], Task]] = dataclasses.field(default_factory=dict)

    def make(
        self,
        split: str = "train",
        episodes_per_trial: int | None = None,
        projection: str | None = None,
        observe: Sequence[str] = OBSERVE,
        action_repeat: int | None = None,
    ) -> RandomProjection:
        """The suite's environment; `split` only sets the default `task_weights`.

        None leaves `episodes_per_trial`, `projection` and `action_repeat` as the suite has
        them. Another `action_repeat` is for training an agent that holds its actions: results
        are compared on the suite's own steps.
        """
        names = dict.fromkeys(self.train + self.held_out)
        return RandomProjection(
            [self.own[name]() if name in self.own else name for name in names],
            obs_size=self.obs_size,
            action_size=self.action_size,
            projection=self.projection if projection is None else projection,
            episodes_per_trial=(
                self.episodes_per_trial if episodes_per_trial is None else episodes_per_trial
            ),
            action_repeat=self.action_repeat if action_repeat is None else action_repeat,
            reward_scale=self.reward_scale,
            observe=observe,
            splits={"train": self.train, "held_out": self.held_out},
            split=split,
            dynamics=self.dynamics,
            name=self.id,
        )


@functools.cache
def _stateless_cartpole() -> Task:
    """POPGym's PositionOnlyCartPoleEasy; a positive action pushes right, any other left."""
    game = popgym.make("popgym-PositionOnlyCartPoleEasy-v0")
    return tasks.from_gymnax(popgym.SignAction(game), name="stateless_cartpole", cheap=True)


_CONTACT_FREE_TRAIN = ("cartpole_swingup", "point_mass_easy", "reacher_easy")
_CONTACT_FREE_HELD_OUT = (
    "cartpole_balance",
    "pendulum_swingup",
    "point_mass_hard",
    "reacher_hard",
)

# So that what a good policy is paid is near 1 a step in every task: inverted_pendulum pays
# 1 for being up and its double 10, hopper about 3, walker2d 4 to 5, ant and halfcheetah 6
# to 7 (alive bonus and running speed in m/s). reacher pays between about -0.9 (random
# actions) and 0.
_BRAX_REWARD_SCALE = {
    "brax_ant": 0.15,
    "brax_halfcheetah": 0.15,
    "brax_hopper": 0.3,
    "brax_inverted_double_pendulum": 0.1,
    "brax_walker2d": 0.2,
}

SUITES: dict[str, Suite] = {
    suite.id: suite
    for suite in (
        Suite(
            id="RandomProjection-v0",
            summary="Lu et al. 2023, section 5: DM Control, 1000-step episodes.",
            train=(
                "ball_in_cup_catch",
                "cartpole_swingup",
                "finger_spin",
                "finger_turn_hard",
                "point_mass_easy",
                "reacher_easy",
            ),
            held_out=(
                "cartpole_balance",
                "finger_turn_easy",
                "pendulum_swingup",
                "point_mass_hard",
                "reacher_hard",
            ),
            obs_size=12,
            action_size=2,
        ),
        Suite(
            id="RandomProjection-Lite-v0",
            summary="Contact-free tasks, 2 episodes of 250 steps (action repeat 4).",
            train=_CONTACT_FREE_TRAIN,
            held_out=_CONTACT_FREE_HELD_OUT,
            obs_size=12,
            action_size=2,
            episodes_per_trial=2,
            action_repeat=4,
            episode_steps=250,
        ),
        Suite(
            id="RandomProjection-Dynamics-v0",
            summary="Every trial draws its dynamics; held out: the same tasks, beyond the range.",
            train=_CONTACT_FREE_TRAIN,
            held_out=_CONTACT_FREE_TRAIN,
            obs_size=12,
            action_size=2,
            dynamics={
                "train": dict.fromkeys(("mass", "length", "damping", "gear"), (0.75, 1.25)),
                "held_out": dict.fromkeys(("mass", "length", "damping", "gear"), (1.3, 1.8)),
            },
        ),
        # The action's only orthonormal maps are +1 and -1: half of the trials swap left and
        # right. The paper's released code projects the observation (to 4 numbers) alone.
        Suite(
            id="RandomProjection-StatelessCartPole-v0",
            summary="Lu et al. 2023, section 4.3: POPGym's CartPole without velocities.",
            train=("stateless_cartpole",),
            held_out=("stateless_cartpole",),
            obs_size=4,
            action_size=1,
            episodes_per_trial=16,
            episode_steps=200,
            own={"stateless_cartpole": _stateless_cartpole},
        ),
        Suite(
            id="RandomProjection-Brax-v0",
            summary="Locomotion and pendulums of Brax, 1000-step episodes, larger sizes.",
            train=("brax_ant", "brax_hopper", "brax_inverted_pendulum", "brax_reacher"),
            held_out=("brax_halfcheetah", "brax_inverted_double_pendulum", "brax_walker2d"),
            obs_size=32,
            action_size=8,
            reward_scale=_BRAX_REWARD_SCALE,
        ),
    )
}
