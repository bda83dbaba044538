"""Single pictures of a task, and of what an agent sees of it."""

import dataclasses
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from metaenvs.rendering import scenes
from metaenvs.tasks.base import Task

HISTORY = 100
"""Steps that the strip of observations shows."""

# Colours: Okabe-Ito, distinguishable with every kind of colour vision.
_BLUE, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#009E73"
_LOOKS: dict[str, dict[str, Any]] = {
    "ground": {"facecolor": "0.90", "edgecolor": "0.75"},
    "fixture": {"facecolor": "0.55", "edgecolor": "0.35"},
    "target": {"facecolor": _GREEN + "70", "edgecolor": _GREEN},
    "body": {"facecolor": "#7FB2D6", "edgecolor": _BLUE},
    "effector": {"facecolor": "#F0A36B", "edgecolor": _ORANGE},
    "mark": {"facecolor": "0.15", "edgecolor": "0.15"},
}

_DPI = 90
_WIDTH, _HEIGHT, _STRIP_HEIGHT = 4.0, 3.4, 1.7  # inches
# Few colours make small files.
_LEVELS = matplotlib.colormaps["PuOr_r"].resampled(21)


@dataclasses.dataclass(frozen=True)
class Moment:
    """What one frame shows.

    Attributes:
        state: of the bare task, with NumPy leaves.
        action: `[n_act]` the task's action in [-1, 1] that led here, if there is one.
        text: a line above the scene.
        observations: `[n, observation_size]` the last ones seen, scaled to [-1, 1]; at
            most `HISTORY`.
    """

    state: Any
    action: np.ndarray | None = None
    text: str = ""
    observations: np.ndarray | None = None


class Picture:
    """Draws moments of one task; much faster than one figure for each.

    What never changes is drawn once and kept; for a new moment only the moving parts
    are drawn over it.

    Args:
        task: with a scene (see `scenes`).
        params: its params (default: its own).
        observed: names and sizes of the observation's parts, top to bottom, for a strip
            of past observations below the scene; without any there is no strip.
        title: shown above (default: the task's name).

    Raises:
        ValueError: if the task has no scene.
    """

    def __init__(
        self,
        task: Task,
        params: Any = None,
        observed: tuple[tuple[str, int], ...] = (),
        title: str | None = None,
    ):
        self._scene = scenes.find(task)
        self._params = task.default_params if params is None else params
        height = _HEIGHT + (_STRIP_HEIGHT if observed else 0.0)
        self._figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        self._size = (_WIDTH, height)
        self._figure.text(
            0.03,
            1.0 - 0.17 / height,
            task.name if title is None else title,
            fontsize=9,
            fontweight="bold",
            va="center",
        )
        self._text = self._figure.text(
            0.03,
            1.0 - 0.36 / height,
            "",
            fontsize=7.5,
            family="monospace",
            va="center",
            animated=True,
        )
        bottom = height - _HEIGHT
        self._add_scene(bottom)
        self._add_action(bottom, task.action_space(self._params).shape[0])
        self._moving: list[Any] = [*self._polygons, *self._bars, self._text]
        self._strip = self._add_strip(observed) if observed else None
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(self._figure.bbox)

    def _axes(self, left: float, bottom: float, width: float, height: float) -> Any:
        """Axes placed in inches."""
        across, up = self._size
        return self._figure.add_axes((left / across, bottom / up, width / across, height / up))

    def _add_scene(self, bottom: float) -> None:
        width, height = 3.45, _HEIGHT - 0.6
        self.axes = ax = self._axes(0.1, bottom + 0.08, width, height)
        left, right, low, high = self._scene.window(self._params)
        # The window grows along one axis until a metre is as long along both.
        metres_per_inch = max((right - left) / width, (high - low) / height)
        half_width, half_height = 0.5 * metres_per_inch * width, 0.5 * metres_per_inch * height
        ax.set_xlim(0.5 * (left + right) - half_width, 0.5 * (left + right) + half_width)
        ax.set_ylim(0.5 * (low + high) - half_height, 0.5 * (low + high) + half_height)
        ax.set(xticks=[], yticks=[], facecolor="0.99")
        ax.spines[:].set_color("0.75")
        self._polygons: list[Polygon] = []

    def _add_action(self, bottom: float, size: int) -> None:
        ax = self._axes(3.62, bottom + 0.08, 0.28, _HEIGHT - 0.6)
        ax.set(xlim=(-0.5, size - 0.5), ylim=(-1.0, 1.0), xticks=[], yticks=[], facecolor="0.99")
        ax.axhline(0.0, color="0.75", linewidth=0.8)
        ax.spines[:].set_color("0.75")
        ax.set_title("action", fontsize=6.5, pad=2)
        self._bars = [
            ax.add_patch(Rectangle((i - 0.35, 0.0), 0.7, 0.0, color=_ORANGE, animated=True))
            for i in range(size)
        ]

    def _add_strip(self, observed: tuple[tuple[str, int], ...]) -> Any:
        sizes = [size for _, size in observed]
        # A part of one row alone would be too thin to be seen, and to be named.
        rows_of = [max(size, 2) for size in sizes]
        self._repeats = np.repeat(
            [n // size for n, size in zip(rows_of, sizes, strict=True)], sizes
        )
        edges = np.cumsum([0, *rows_of]) - 0.5
        ax = self._axes(0.52, 0.3, _WIDTH - 0.62, _STRIP_HEIGHT - 0.38)
        image = ax.imshow(
            np.full((sum(rows_of), HISTORY), np.nan),
            cmap=_LEVELS,
            vmin=-1.0,
            vmax=1.0,
            aspect="auto",
            interpolation="nearest",
            animated=True,
        )
        ax.set_facecolor("0.93")
        ax.set_yticks(0.5 * (edges[1:] + edges[:-1]), [name for name, _ in observed], fontsize=6.5)
        ax.set_xticks([])
        ax.set_xlabel(f"what the agent saw in the last {HISTORY} steps", fontsize=6.5, labelpad=3)
        ax.tick_params(length=0, pad=2)
        ax.spines[:].set_visible(False)
        lines = [
            ax.axhline(edge, color="white", linewidth=2.0, animated=True) for edge in edges[1:-1]
        ]
        self._moving += [image, *lines]
        return image

    def draw(self, moment: Moment) -> np.ndarray:
        """`[height, width, 3]`, uint8."""
        parts = self._scene.parts(moment.state, self._params)
        if not self._polygons:
            self._polygons = [
                self.axes.add_patch(
                    Polygon(part.outline, linewidth=1.0, animated=True, **_LOOKS[part.role])
                )
                for part in parts
            ]
            self._moving = [*self._polygons, *self._moving]
        for polygon, part in zip(self._polygons, parts, strict=True):
            polygon.set_xy(part.outline)
        action = np.zeros(len(self._bars)) if moment.action is None else moment.action
        for bar, value in zip(self._bars, action, strict=True):
            bar.set_height(float(value))
        self._text.set_text(moment.text)
        if self._strip is not None:
            shown = np.full(self._strip.get_array().shape, np.nan)
            if moment.observations is not None:
                seen = moment.observations[-HISTORY:]
                shown[:, HISTORY - len(seen) :] = np.repeat(seen.T, self._repeats, axis=0)
            self._strip.set_data(shown)
        self._canvas.restore_region(self._still)
        for artist in self._moving:
            self._figure.draw_artist(artist)
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()


def render(task: Task, state: Any, action: Any = None, params: Any = None) -> np.ndarray:
    """One picture `[height, width, 3]`, uint8, of a bare task's state.

    Raises:
        ValueError: if the task has no scene.
    """
    return Picture(task, params).draw(Moment(state, action))
