"""What each task looks like in 2D: outlines of its parts, out of its state. NumPy only.

Coordinates are those of dm_control's models, in m: x and z where the task moves in a
vertical plane (seen against +y), x and y where it lies on a table. Parts carry the
names of the models' geoms and sites, so that tests can put the two side by side.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from metaenvs import tasks
from metaenvs.tasks.base import Task
from metaenvs.tasks.dm_control.acrobot import Acrobot
from metaenvs.tasks.dm_control.ball_in_cup import BallInCup
from metaenvs.tasks.dm_control.cartpole import Cartpole
from metaenvs.tasks.dm_control.finger import Finger
from metaenvs.tasks.dm_control.pendulum import Pendulum
from metaenvs.tasks.dm_control.point_mass import PointMass
from metaenvs.tasks.dm_control.reacher import Reacher

Point = np.ndarray | tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Part:
    """A polygon to draw. A scene's parts keep their number, order, names and roles.

    `role` is "ground", "fixture", "target", "body", "effector" or "mark".
    """

    name: str
    role: str
    outline: np.ndarray


@dataclasses.dataclass(frozen=True)
class Scene:
    """A domain's look.

    Attributes:
        window: the least that must be seen, `(left, right, bottom, top)`, from params.
        parts: from state and params, back to front.
    """

    window: Callable[[Any], tuple[float, float, float, float]]
    parts: Callable[[Any, Any], list[Part]]


def find(task: Task) -> Scene:
    """The scene of a task's domain.

    Raises:
        ValueError: if it has none; the message lists the tasks that have one.
    """
    for kind in type(task).__mro__:
        if kind in SCENES:
            return SCENES[kind]
    choices = ", ".join(drawable())
    raise ValueError(
        f"task {task.name!r} has no scene to draw as a GIF. Drawable tasks: {choices}. "
        "Brax's tasks are drawn as a page: give a file that ends in .html"
    )


def has_scene(task: Task) -> bool:
    """Whether a task can be drawn."""
    return isinstance(task, tuple(SCENES))


def drawable() -> tuple[str, ...]:
    """Names of the tasks of `metaenvs.tasks` that have a scene."""
    return tuple(name for name in tasks.task_names if has_scene(tasks.make(name)))


def _polar(angle: float, length: float = 1.0) -> np.ndarray:
    return length * np.array([math.cos(angle), math.sin(angle)])


def _capsule(name: str, role: str, start: Point, end: Point, radius: float) -> Part:
    """All points within `radius` of a segment; of a point, a disc."""
    heading = math.atan2(end[1] - start[1], end[0] - start[0])
    turn = heading + np.linspace(-0.5 * np.pi, 0.5 * np.pi, 19)[:, None]
    cap = radius * np.concatenate([np.cos(turn), np.sin(turn)], axis=1)
    return Part(name, role, np.concatenate([np.asarray(end) + cap, np.asarray(start) - cap]))


def _disc(name: str, role: str, centre: Point, radius: float) -> Part:
    return _capsule(name, role, centre, centre, radius)


def _box(name: str, role: str, centre: Point, width: float, height: float) -> Part:
    """`width` and `height` from side to side."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    return Part(name, role, np.asarray(centre) + corners * (width, height))


def _ground(height: float) -> Part:
    """Wider and deeper than any window."""
    return _box("ground", "ground", (0.0, height - 10.0), 40.0, 20.0)


# Half the side of the table of point_mass and reacher.
_TABLE = 0.3


def _table() -> list[Part]:
    """What lies outside the table's walls."""
    middle, side = 1.0 + _TABLE, 2.0
    return [
        _box("wall_x", "ground", (-middle, 0.0), side, 2.0 * _TABLE),
        _box("wall_neg_x", "ground", (middle, 0.0), side, 2.0 * _TABLE),
        _box("wall_y", "ground", (0.0, -middle), 10.0, side),
        _box("wall_neg_y", "ground", (0.0, middle), 10.0, side),
    ]


def _table_window(params: Any) -> tuple[float, float, float, float]:
    edge = 1.04 * _TABLE
    return -edge, edge, -edge, edge


_RAIL_HEIGHT = 1.0


def _cartpole_window(params: Any) -> tuple[float, float, float, float]:
    reach = params.pole_length + 2.0 * params.pole_radius
    side = params.rail_limit + 0.7
    return -side, side, min(_RAIL_HEIGHT - reach, -0.12), _RAIL_HEIGHT + reach


def _cartpole(state: Any, params: Any) -> list[Part]:
    x, angle = state.qpos
    hinge = np.array([x, _RAIL_HEIGHT])
    tip = hinge + _polar(0.5 * np.pi - angle, params.pole_length)
    rail = 2.0 + max(params.rail_limit - 1.8, 0.0)
    return [
        _ground(-0.05),
        _capsule("rail1", "fixture", (-rail, _RAIL_HEIGHT), (rail, _RAIL_HEIGHT), 0.02),
        # The ends of what can be used of it.
        _box("left", "fixture", (-params.rail_limit, _RAIL_HEIGHT), 0.02, 0.12),
        _box("right", "fixture", (params.rail_limit, _RAIL_HEIGHT), 0.02, 0.12),
        _box("cart", "body", hinge, 0.4, 0.2),
        _capsule("pole_1", "effector", hinge, tip, params.pole_radius),
    ]


_PENDULUM_HINGE = (0.0, 0.6)


def _pendulum_window(params: Any) -> tuple[float, float, float, float]:
    x, z = _PENDULUM_HINGE
    reach = params.length + 2.0 * params.radius
    return x - reach, x + reach, min(z - reach, -0.03), z + reach


def _pendulum(state: Any, params: Any) -> list[Part]:
    bob = _PENDULUM_HINGE + _polar(0.5 * np.pi - state.qpos[0], params.length)
    return [
        _ground(0.0),
        _capsule("pole", "body", _PENDULUM_HINGE, bob, 0.02),
        _disc("base", "fixture", _PENDULUM_HINGE, 0.021),
        _disc("mass", "effector", bob, params.radius),
    ]


_SHOULDER = (0.0, 2.0)


def _acrobot_window(params: Any) -> tuple[float, float, float, float]:
    x, z = _SHOULDER
    reach = params.upper_length + params.lower_length + 0.15
    top = max(z + reach, z + params.target_height + 0.25)
    return x - reach, x + reach, min(z - reach, -0.15), top


def _acrobot(state: Any, params: Any) -> list[Part]:
    upper, lower = 0.5 * np.pi - np.cumsum(state.qpos)
    elbow = _SHOULDER + _polar(upper, params.upper_length)
    tip = elbow + _polar(lower, params.lower_length)
    return [
        _ground(0.0),
        _disc("target", "target", (0.0, _SHOULDER[1] + params.target_height), 0.2),
        _capsule("upper_arm", "body", _SHOULDER, elbow, params.upper_radius),
        _disc("upper_arm_decoration", "fixture", _SHOULDER, 0.051),
        _capsule("lower_arm", "effector", elbow, tip, params.lower_radius),
        _disc("tip", "mark", tip, 0.03),
    ]


def _point_mass(state: Any, params: Any) -> list[Part]:
    ball = state.qpos
    return [
        *_table(),
        _disc("target", "target", (0.0, 0.0), params.target_size),
        # Where a positive action pushes: the hard task draws it anew in every episode.
        *(
            _capsule(f"push{i}", "mark", ball, ball + 0.05 * direction, 0.0015)
            for i, direction in enumerate(state.directions)
        ),
        _disc("pointmass", "effector", ball, 0.01),
    ]


def _reacher(state: Any, params: Any) -> list[Part]:
    shoulder, hand = np.cumsum(state.qpos)
    wrist = _polar(shoulder, params.arm_length)
    radius = params.link_radius
    return [
        *_table(),
        _disc("target", "target", state.target, params.target_size),
        _capsule("arm", "body", (0.0, 0.0), wrist, radius),
        _disc("root", "fixture", (0.0, 0.0), 0.011),
        _capsule("hand", "body", wrist, wrist + _polar(hand, params.hand_length), radius),
        _disc("finger", "effector", wrist + _polar(hand, params.reach), params.finger_radius),
    ]


_CUP = np.array([0.0, 0.6])
_BALL = np.array([0.0, 0.2])
_CUP_CORNERS = np.array(
    [[-0.05, 0.0], [-0.05, -0.075], [-0.025, -0.1], [0.025, -0.1], [0.05, -0.075], [0.05, 0.0]]
)


def _ball_in_cup(state: Any, params: Any) -> list[Part]:
    cup, ball = _CUP + state.qpos[:2], _BALL + state.qpos[2:]
    corners = cup + _CUP_CORNERS
    return [
        _ground(0.0),
        _box("target", "target", cup - (0.0, 0.05), 0.1, 0.1),
        *_string(cup - (0.0, 0.108), ball, params.string_length),
        *(
            _capsule(f"cup_part_{i}", "body", corners[i], corners[i + 1], params.wall_radius)
            for i in range(5)
        ),
        _disc("ball", "effector", ball, params.ball_radius),
    ]


def _string(start: np.ndarray, end: np.ndarray, length: float) -> list[Part]:
    """Hangs as a parabola about as long as it is: the physics knows the length only."""
    along = np.linspace(0.0, 1.0, 13)[:, None]
    gap = math.dist(start, end)
    # A shallow parabola of sag s over a gap g is g + 8 s^2 / (3 g) long, a deep one 2 s.
    sag = min(math.sqrt(0.375 * gap * max(length - gap, 0.0)), 0.5 * max(length - gap, 0.0))
    points = start + along * (end - start) - 4.0 * sag * along * (1.0 - along) * (0.0, 1.0)
    return [
        _capsule(f"string{i}", "mark", points[i], points[i + 1], 0.0015)
        for i in range(len(points) - 1)
    ]


_FINGER_HEIGHT = 0.4


def _finger_window(params: Any) -> tuple[float, float, float, float]:
    side = 0.5 * params.hinge_distance
    # The stretched finger above and below its joint; the turning body to the right.
    return -side - 0.15, side + 0.22, -0.02, _FINGER_HEIGHT + 0.4


def _finger(state: Any, params: Any) -> list[Part]:
    joint = np.array([-0.5 * params.hinge_distance, _FINGER_HEIGHT])
    proximal, distal = _polar(state.qpos[0]), _polar(state.qpos[0] + state.qpos[1])
    knuckle = joint + 0.18 * proximal

    hinge = np.array([0.5 * params.hinge_distance, _FINGER_HEIGHT])
    up = _polar(0.5 * np.pi + state.qpos[2])
    side = np.array([up[1], -up[0]])
    target = _disc("target", "target", hinge + state.target, params.target_radius)
    return [
        _ground(0.0),
        _capsule("proximal", "body", joint, joint + 0.17 * proximal, 0.03),
        _disc("proximal_decoration", "fixture", joint, 0.034),
        _capsule("distal", "body", knuckle, knuckle + 0.16 * distal, 0.028),
        _capsule("fingertip", "effector", knuckle + 0.13 * distal, knuckle + 0.161 * distal, 0.03),
        *(
            _capsule(name, "body", middle - 0.09 * up, middle + 0.09 * up, 0.04)
            for name, middle in (("cap1", hinge + 0.02 * side), ("cap2", hinge - 0.02 * side))
        ),
        _disc("spinner_decoration", "fixture", hinge, 0.02),
        # Behind the tip, which must come into it, but before the body, which would hide it.
        *([target] if params.target_radius else []),
        _disc("tip", "mark", hinge + 0.13 * up, 0.02),
    ]


SCENES: dict[type[Task], Scene] = {
    Acrobot: Scene(_acrobot_window, _acrobot),
    BallInCup: Scene(lambda params: (-0.42, 0.42, -0.03, 0.95), _ball_in_cup),
    Cartpole: Scene(_cartpole_window, _cartpole),
    Finger: Scene(_finger_window, _finger),
    Pendulum: Scene(_pendulum_window, _pendulum),
    PointMass: Scene(_table_window, _point_mass),
    Reacher: Scene(_table_window, _reacher),
}
