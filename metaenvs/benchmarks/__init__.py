"""How fast environments are: fair timing, and the programs that `metaenvs bench` times."""

from metaenvs.benchmarks.timing import Timing, interleaved, ratio

__all__ = ["Timing", "interleaved", "ratio"]
