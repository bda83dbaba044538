"""Means, aggregates over tasks and their bootstrap intervals.

Scores are arrays `[runs, tasks, trials]`. Resampling is stratified: the trials of each
run and task among themselves, and then, if there are several runs, whole runs (a run is
one agent that plays all tasks, so its tasks are kept together). `scipy.stats.bootstrap`
resamples one level only; here a resampled mean is a product with multinomial counts, which
serves thousands of means at once.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

RESAMPLES = 2000
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Interval:
    """A statistic and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def shown(self, digits: int = 2, sign: str = "") -> str:
        """ "value [low, high]"; `sign` "+" writes the sign of positive numbers too."""
        value, low, high = (f"{x:{sign}.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


def iqm(means: np.ndarray) -> np.ndarray:
    """Interquartile mean over runs and tasks: `[..., runs, tasks]` to `[...]`.

    A quarter of the means over trials is left out at each end, rounded down: where there are
    fewer than four of them this is the plain mean (`iqm_trims`). It is rliable's
    `aggregate_iqm` of the table of those means.

    Source: Agarwal et al. 2021 (arXiv 2108.13264).
    """
    from scipy import stats  # here: it takes longer to import than all of this package

    return np.asarray(stats.trim_mean(means.reshape(*means.shape[:-2], -1), 0.25, axis=-1))


def iqm_trims(means: int) -> bool:
    """Whether the interquartile mean of so many means leaves any out. If not, do not show it."""
    return means >= 4


def mean(means: np.ndarray) -> np.ndarray:
    """Mean over runs and tasks: `[..., runs, tasks]` to `[...]`."""
    return means.mean((-2, -1))


def percentile_20(means: np.ndarray) -> np.ndarray:
    """20th percentile over tasks of the mean over runs: `[..., runs, tasks]` to `[...]`.

    How an agent does on its harder tasks, which a mean hides.
    """
    return np.asarray(np.percentile(means.mean(-2), 20, axis=-1))


AGGREGATES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": mean,
    "iqm": iqm,
    "percentile_20": percentile_20,
}
"""Statistics over tasks that results and reports show."""


def interval(
    scores: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray] = mean,
    resamples: int = RESAMPLES,
) -> Interval:
    """A statistic of `scores [runs, tasks, trials]` with its bootstrap interval.

    Args:
        statistic: of the means over trials `[..., runs, tasks]`.

    Raises:
        ValueError: for another shape, or fewer than two trials.
    """
    resampled = statistic(resampled_means(scores, resamples))
    return _interval(statistic(scores.mean(-1)), resampled)


def mean_intervals(values: np.ndarray, resamples: int = RESAMPLES) -> list[Interval]:
    """Intervals of many means over tasks at once, of `values [tasks, trials, n]`."""
    moved = np.moveaxis(values, -1, 0)[:, None]
    resampled = resampled_means(np.moveaxis(moved, 0, -1), resamples).mean((1, 2))
    return [
        _interval(point, sample)
        for point, sample in zip(values.mean((0, 1)), resampled.T, strict=True)
    ]


def resampled_means(scores: np.ndarray, resamples: int) -> np.ndarray:
    """Bootstrap means over trials: `[runs, tasks, trials, ...]` to `[resamples, runs, tasks, ...]`.

    Raises:
        ValueError: for fewer than three axes, no run, no task or fewer than two trials.
    """
    if scores.ndim < 3 or min(scores.shape[:2]) < 1 or scores.shape[2] < 2:
        raise ValueError(
            "scores must be [runs, tasks, trials] with at least one run, one task and two "
            f"trials, got shape {scores.shape}"
        )
    rng = np.random.default_rng(_SEED)
    runs, tasks, trials = scores.shape[:3]
    equal = np.full(trials, 1 / trials)
    means = np.empty((resamples, runs, tasks, *scores.shape[3:]))
    for run in range(runs):
        for task in range(tasks):
            counts = rng.multinomial(trials, equal, size=resamples)
            means[:, run, task] = np.tensordot(counts / trials, scores[run, task], axes=1)
    if runs == 1:
        return means
    chosen = rng.integers(runs, size=(resamples, runs))
    return means[np.arange(resamples)[:, None], chosen]


def probability_of_improvement(x: np.ndarray, y: np.ndarray, resamples: int = 500) -> Interval:
    """How likely a trial of X pays more than one of Y on the same task, mean over tasks.

    `x`, `y` are scores `[runs, tasks, trials]`; ties count half (Mann and Whitney's U). As
    in Agarwal et al. 2021, with trials in the place of runs.

    Raises:
        ValueError: if the tasks differ in number.
    """
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"X has {x.shape[1]} tasks, Y has {y.shape[1]}")
    from scipy import stats

    rng = np.random.default_rng(_SEED)

    def probability(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        # `[..., tasks, n]` each
        u = stats.mannwhitneyu(x, y, axis=-1, method="asymptotic").statistic
        return np.asarray(u / (x.shape[-1] * y.shape[-1])).mean(-1)

    def pooled(scores: np.ndarray) -> np.ndarray:
        return np.moveaxis(scores, -3, -2).reshape(*scores.shape[:-3], scores.shape[-2], -1)

    def resampled(scores: np.ndarray) -> np.ndarray:
        runs, tasks, trials = scores.shape
        run = rng.integers(runs, size=(resamples, runs)) if runs > 1 else np.zeros((1, 1), int)
        trial = rng.integers(trials, size=(resamples, runs, tasks, trials))
        return scores[run[:, :, None, None], np.arange(tasks)[:, None], trial]

    point = probability(pooled(x), pooled(y))
    return _interval(point, probability(pooled(resampled(x)), pooled(resampled(y))))


def _interval(point: float | np.ndarray, resampled: np.ndarray) -> Interval:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(float(point), float(low), float(high))
