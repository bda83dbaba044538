"""Draws docs/images/projection_spectra.png: `python scripts/projection_spectra.py`."""

from pathlib import Path

import jax
import matplotlib
import numpy as np

from metaenvs import projections

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DRAWS = 2000
OBS_SIZE, N_OBS = 12, 6
ACTION_SIZE = N_ACT = 2


def spectra(family: str) -> dict[str, np.ndarray]:
    """Singular values `[DRAWS, n]` of both maps, largest first, of a task's own columns."""
    made = projections.make(family, OBS_SIZE, ACTION_SIZE, N_OBS, N_ACT)
    draw = jax.jit(jax.vmap(lambda key: made.sample(key, N_OBS, N_ACT)))
    maps = draw(jax.random.split(jax.random.key(0), DRAWS))
    return {
        "$M_o$": np.linalg.svd(np.asarray(maps.observation), compute_uv=False),
        "$M_a$": np.linalg.svd(np.asarray(maps.action), compute_uv=False),
    }


def main() -> None:
    figure, axes = plt.subplots(
        2, len(projections.FAMILIES), figsize=(14, 5), sharey="row", layout="constrained"
    )
    for column, family in zip(axes.T, projections.FAMILIES, strict=True):
        for ax, (which, values) in zip(column, spectra(family).items(), strict=True):
            place = np.arange(1, values.shape[1] + 1)
            for low, high, shade in ((0.5, 99.5, 0.15), (5, 95, 0.3), (25, 75, 0.5)):
                ends = np.percentile(values, (low, high), axis=0)
                ax.bar(place, ends[1] - ends[0], 0.7, ends[0], color="C0", alpha=shade)
            ax.hlines(np.median(values, axis=0), place - 0.35, place + 0.35, color="k")
            condition = values[:, 0] / values[:, -1]
            median, most = np.percentile(condition, (50, 95))
            ax.set_title(f"{family} {which}\ncondition {median:.1f}, 95 %: {most:.1f}", fontsize=10)
            ax.set_xticks(place)
            ax.set_yscale("log")
            print(
                f"{family:12s} {which}: condition median {median:.2f}, 95 % {most:.2f}, "
                f"largest of {DRAWS} {condition.max():.1f}"
            )
    axes[0, 0].set_ylim(0.2, 5.0)
    axes[1, 0].set_ylim(0.7, 400.0)
    for ax in axes[:, 0]:
        ax.set_ylabel("singular value")
    for ax in axes[1]:
        ax.set_xlabel("place")
    path = Path(__file__).parent.parent / "docs" / "images" / "projection_spectra.png"
    figure.savefig(path, dpi=110)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
