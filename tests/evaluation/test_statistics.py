"""Statistics against known values and known distributions."""

import numpy as np
import pytest
from scipy import stats

from metaenvs import statistics


def test_aggregates_of_known_tables():
    table = np.array([[0.0, 1.0, 2.0, 3.0, 100.0, 4.0, 5.0, -50.0]])
    assert statistics.mean(table) == pytest.approx(table.mean())
    assert statistics.iqm(table) == pytest.approx(2.5)  # of 1, 2, 3, 4
    assert statistics.percentile_20(np.arange(11.0)[None]) == pytest.approx(2.0)
    two_runs = np.stack([np.arange(11.0), np.arange(11.0) + 2])
    assert statistics.percentile_20(two_runs) == pytest.approx(3.0)
    batched = np.stack([table, table + 1])
    np.testing.assert_allclose(statistics.iqm(batched), [2.5, 3.5])


def test_intervals_over_trials_cover_the_truth():
    rng = np.random.default_rng(5)
    # Tasks of different means and spreads: resampled as one they would seem wider.
    covered, n = 0, 1000
    for _ in range(n):
        scores = np.stack([rng.normal(0, 1, 64), rng.normal(100, 10, 64)])[None]
        found = statistics.interval(scores, resamples=400)
        covered += found.low <= 50.0 <= found.high
    assert stats.binomtest(covered, n, 0.94).pvalue > 0.01


def test_intervals_over_runs_cover_the_truth():
    """Runs that differ by more than their trials do: trials alone would say too little."""
    rng = np.random.default_rng(1)
    covered, over_trials, n, runs = 0, 0, 300, 12
    for _ in range(n):
        scores = rng.normal(0, 1, (runs, 1, 1)) + rng.normal(0, 0.5, (runs, 3, 16))
        found = statistics.interval(scores, resamples=400)
        covered += found.low <= 0.0 <= found.high
        alone = statistics.interval(scores.transpose(1, 0, 2).reshape(1, 3, -1), resamples=50)
        over_trials += alone.low <= 0.0 <= alone.high
    # With 12 runs a percentile bootstrap covers 92 %, known from theory (t against normal).
    assert stats.binomtest(covered, n, 0.92).pvalue > 0.01
    assert over_trials < 0.6 * n


def test_intervals_have_the_width_of_the_normal_theory():
    scores = np.random.default_rng(2).normal(0, 2, (1, 4, 400))
    found = statistics.interval(scores, resamples=4000)
    expected = 2 * 1.96 * 2 / np.sqrt(4 * 400)
    assert found.high - found.low == pytest.approx(expected, rel=0.06)
    assert found.value == pytest.approx(scores.mean())
    many = statistics.mean_intervals(np.stack([scores[0], scores[0] + 7], axis=-1), 4000)
    assert many[1].low - many[0].low == pytest.approx(7)
    assert many[0].high - many[0].low == pytest.approx(expected, rel=0.06)


def test_interval_of_constants_is_a_point():
    scores = np.stack([np.zeros(4), np.ones(4)])[None]
    found = statistics.interval(scores)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(("shift", "expected"), [(0.0, 0.5), (1.0, 0.7602), (-50.0, 0.0)])
def test_probability_of_improvement_of_normals(shift, expected):
    """P(X > Y) of unit normals is Phi(shift / sqrt 2)."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(shift, 1, (2, 5, 64)), rng.normal(0, 1, (3, 5, 64))
    found = statistics.probability_of_improvement(x, y, resamples=100)
    assert found.low - 1e-9 <= expected <= found.high + 1e-9
    assert found.value == pytest.approx(expected, abs=0.06)


def test_ties_count_half():
    same = np.ones((1, 2, 8))
    assert statistics.probability_of_improvement(same, same).value == 0.5


@pytest.mark.parametrize("shape", [(1, 2, 1), (0, 2, 4), (1, 0, 4), (3, 4)])
def test_too_few_scores_are_refused(shape):
    with pytest.raises(ValueError, match=r"at least one run, one task and two trials"):
        statistics.interval(np.zeros(shape))


def test_different_numbers_of_tasks_are_refused():
    with pytest.raises(ValueError, match="X has 2 tasks, Y has 3"):
        statistics.probability_of_improvement(np.zeros((1, 2, 4)), np.zeros((1, 3, 4)))


def test_an_interquartile_mean_is_one_from_four_values_on():
    """Below, nothing is left out: it would be the mean by another name."""
    for n in range(1, 9):
        values = np.arange(n, dtype=float)[None] ** 2
        is_plain = statistics.iqm(values) == pytest.approx(values.mean())
        assert statistics.iqm_trims(n) == (not is_plain)
