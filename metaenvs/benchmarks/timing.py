"""Fair timing of programs against each other on a machine that has other things to do."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of one call, one value for each repetition."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2 / self.median


def interleaved(
    cases: Mapping[str, Callable[[], Any]],
    *,
    repetitions: int = 7,
    at_least: float = 0.05,
) -> dict[str, Timing]:
    """Time all cases, taking turns, so that what slows the machine slows all alike.

    Each case is called once before (it compiles then), and in every repetition as often
    as it takes to fill `at_least` seconds; JAX results are waited for.

    Args:
        cases: what to call, by name; of the results nothing is kept.
        repetitions: measurements of each case.
        at_least: seconds that one measurement lasts.

    Raises:
        ValueError: without cases or repetitions.
    """
    if not cases or repetitions < 1:
        raise ValueError(f"nothing to time: {len(cases)} cases, {repetitions} repetitions")
    calls = {}
    for name, case in cases.items():
        jax.block_until_ready(case())
        calls[name] = max(1, round(at_least / max(_seconds(case, 1), 1e-6)))
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repetition in range(repetitions):
        # There and back again, so that no case always follows the same other one.
        names = list(cases) if repetition % 2 == 0 else list(cases)[::-1]
        for name in names:
            seconds[name].append(_seconds(cases[name], calls[name]))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def ratio(a: Timing, b: Timing) -> float:
    """How many times as long as `b` the case `a` took: median over paired repetitions.

    Raises:
        ValueError: if the two were not timed together.
    """
    pairs = zip(a.seconds, b.seconds, strict=True)
    return statistics.median(x / y for x, y in pairs)


def _seconds(case: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        result = case()
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / calls
