"""Intervals for means over tasks and trials."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def mean_interval(strata: Sequence[np.ndarray], resamples: int = 2000) -> Interval:
    """Mean over strata of the mean in each, with a stratified percentile bootstrap.

    Args:
        strata: one array `[n]` per stratum (the trials of one task, say); resampling
            stays inside a stratum.
        resamples: bootstrap resamples.

    Raises:
        ValueError: for no stratum, or one with fewer than two values.
    """
    if not strata or min(len(x) for x in strata) < 2:
        raise ValueError("a bootstrap needs at least one stratum, of two values or more")

    def mean_of_means(*samples, axis=-1):
        return np.mean([x.mean(axis=axis) for x in samples], axis=0)

    mean = float(mean_of_means(*strata))
    if all(np.ptp(x) == 0 for x in strata):
        return Interval(mean, mean, mean)  # nothing varies; scipy would warn
    result = stats.bootstrap(
        tuple(strata),
        mean_of_means,
        n_resamples=resamples,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    low, high = result.confidence_interval
    return Interval(mean, float(low), float(high))
