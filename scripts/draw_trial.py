"""docs/images/trial.gif: the beginning of a trial of an agent of the package.

python scripts/draw_trial.py
"""

from pathlib import Path

from agents import load
from metaenvs.rendering import animation

AGENT, TASK, STEPS, EVERY, SEED = "s5-random-projection-v0-1e8", "reacher_easy", 150, 3, 1
OUT = Path(__file__).parent.parent / "docs/images/trial.gif"


def main() -> None:
    # The task alone, at the suite's sizes: it is the same trial, and compiles in seconds.
    rollout = animation.roll_out(TASK, policy=load(AGENT), steps=STEPS, seed=SEED)
    animation.write_gif(rollout, OUT, every=EVERY, fps=12)
    print(f"wrote {OUT}: return {rollout.episode_return[-1]:.0f}, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
