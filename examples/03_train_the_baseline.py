"""Train the S5 baseline and read what it left in its run folder.

The same from a shell: metaenvs train --preset demo --steps 2000000 --out runs/example
"""

import json
from pathlib import Path

from agents.cli import main as metaenvs


def main(steps: int = 2_000_000, out: str = "runs/example", settings: tuple[str, ...] = ()) -> None:
    # --resume goes on where a stopped run was, and starts one where there is none.
    command = ["train", "--preset", "demo", "--steps", str(steps), "--out", out, "--resume"]
    if metaenvs([*command, *settings]):
        raise SystemExit("training did not finish")
    lines = (Path(out) / "metrics.jsonl").read_text().splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    for task, before in first["return"].items():
        print(f"{task:20s} return of an episode {before:6.1f}, later {last['return'][task]:6.1f}")


if __name__ == "__main__":
    main()
