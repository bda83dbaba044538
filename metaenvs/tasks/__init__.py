"""Continuous-control tasks, each a Gymnax environment of its own."""

import functools
from collections.abc import Callable

from metaenvs import errors
from metaenvs.tasks.base import DMControlTask, Task
from metaenvs.tasks.brax.task import BRAX_TASKS, from_brax
from metaenvs.tasks.dm_control.acrobot import Acrobot, AcrobotParams
from metaenvs.tasks.dm_control.ball_in_cup import BallInCup, BallInCupParams
from metaenvs.tasks.dm_control.cartpole import Cartpole, CartpoleParams
from metaenvs.tasks.dm_control.finger import Finger
from metaenvs.tasks.dm_control.finger_shape import FingerParams
from metaenvs.tasks.dm_control.pendulum import Pendulum, PendulumParams
from metaenvs.tasks.dm_control.point_mass import PointMass, PointMassParams
from metaenvs.tasks.dm_control.reacher import Reacher, ReacherParams
from metaenvs.tasks.gymnax import from_gymnax
from metaenvs.tasks.playground import from_playground

__all__ = [
    "DMControlTask",
    "Task",
    "brax_task_names",
    "from_brax",
    "from_gymnax",
    "from_playground",
    "make",
    "task_names",
]


def _from_brax(env: str, name: str) -> Task:
    return from_brax(env, name=name)


# dm_control's name of each task, `domain_task`, to what makes it; a factory is called
# with the name. Tasks of one domain differ in their params only.
_FACTORIES: dict[str, Callable[[str], Task]] = {
    "acrobot_swingup": functools.partial(Acrobot, params=AcrobotParams()),
    "acrobot_swingup_sparse": functools.partial(Acrobot, params=AcrobotParams(sparse=True)),
    "ball_in_cup_catch": functools.partial(BallInCup, params=BallInCupParams()),
    "cartpole_balance": functools.partial(Cartpole, params=CartpoleParams()),
    "cartpole_balance_sparse": functools.partial(Cartpole, params=CartpoleParams(sparse=True)),
    "cartpole_swingup": functools.partial(Cartpole, params=CartpoleParams(swing_up=True)),
    "cartpole_swingup_sparse": functools.partial(
        Cartpole, params=CartpoleParams(swing_up=True, sparse=True)
    ),
    "finger_spin": functools.partial(
        Finger, params=FingerParams(target_radius=0.0, hinge_damping=0.03)
    ),
    "finger_turn_easy": functools.partial(Finger, params=FingerParams(target_radius=0.07)),
    "finger_turn_hard": functools.partial(Finger, params=FingerParams(target_radius=0.03)),
    "pendulum_swingup": functools.partial(Pendulum, params=PendulumParams()),
    "point_mass_easy": functools.partial(PointMass, params=PointMassParams()),
    "point_mass_hard": functools.partial(PointMass, params=PointMassParams(random_directions=True)),
    "reacher_easy": functools.partial(Reacher, params=ReacherParams(target_size=0.05)),
    "reacher_hard": functools.partial(Reacher, params=ReacherParams(target_size=0.015)),
}

task_names: tuple[str, ...] = tuple(_FACTORIES)
"""Names of the tasks written for this package: those of dm_control."""

_BRAX_FACTORIES: dict[str, Callable[[str], Task]] = {
    f"brax_{env}": functools.partial(_from_brax, env) for env in BRAX_TASKS
}

brax_task_names: tuple[str, ...] = tuple(_BRAX_FACTORIES)
"""Names of Brax's tasks as `make` takes them: `brax_ant` is `from_brax("ant")`."""


@functools.cache
def make(name: str) -> Task:
    """The task called `name`, of `task_names` or `brax_task_names`.

    Always the same object for a name.

    Being one object matters: Gymnax compiles `reset` and `step` once per environment
    object.

    Raises:
        ValueError: if there is no such task; the message lists the names.
    """
    task = errors.lookup(_FACTORIES | _BRAX_FACTORIES, name, "task")(name)
    task.made_by = make, (name,)
    return task
