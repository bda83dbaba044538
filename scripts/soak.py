"""Training that is killed, filled up and fought over, again and again: what is left must be right.

    mount -t tmpfs -o size=48m none /mnt/soak
    python scripts/soak.py /mnt/soak --hours 2

Trains one small run without a break, then the same run over and over, while it

- kills the training (SIGKILL) at random moments and resumes it,
- fills the disk that it writes to, sees it refuse in one line, makes room and resumes it,
- sets a second process on the same folder, which has to be turned away in one line.

After each of these the newest checkpoint has to open, and be no older than the one before. When a
run has ended its metrics have to be those of the unbroken one, each update once and in order, and
the parameters too, bit for bit. Stops with status 1 at the first that is not so, and leaves the
folder. A full disk harms nobody only where nobody else writes: the folder has to lie on a file
system of its own, of at most 1 GB.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from agents.runs import evaluate
from agents.runs.run_folder import RunFolder

UPDATES = 400
TRAIN = [
    *(sys.executable, "-m", "agents.cli", "train", "--preset", "memory-length-cpu"),
    *("--env-params.memory-length", "4", "--rollout-steps", "10", "--envs", "8"),
    *("--steps", str(UPDATES * 8 * 10), "--checkpoint-every", "4", "--keep-checkpoints", "2"),
    *("--resume", "--out"),
]
CLOCK = ("seconds", "steps_per_second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if shutil.disk_usage(args.folder).total > 1e9:
        parser.error(
            f"{args.folder} lies on a file system of more than 1 GB, which is to be filled"
        )
    Soak(args.folder, random.Random(args.seed)).go_on_until(time.time() + 3600 * args.hours)


class Soak:
    """Runs below `folder`, and how often each thing was done to them."""

    def __init__(self, folder: Path, rng: random.Random):
        self.folder = folder
        self.rng = rng
        self.count: collections.Counter[str] = collections.Counter()
        self.restored = 0  # update of the newest checkpoint of the present run

    def go_on_until(self, end: float) -> None:
        whole = self.folder / "whole"
        process = self.train(whole)
        output, _ = process.communicate()
        if process.returncode != 0:
            fail(f"the unbroken run did not end: {output}", whole)
        self.expected = metrics(whole), newest(whole)[1]
        troubles = [self.kill] * 4 + [self.fill, self.contend]
        while time.time() < end:
            run, self.restored = self.folder / f"run{self.count['runs']}", 0
            while self.restored < UPDATES:
                self.rng.choice(troubles)(run)
                self.check(run)
            self.compare(run)
            shutil.rmtree(run)
            self.count["runs"] += 1
            print(time.strftime("%H:%M:%S"), dict(self.count), flush=True)

    def train(self, run: Path) -> subprocess.Popen:
        return subprocess.Popen(
            [*TRAIN, str(run)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def wait_a_little(self, process: subprocess.Popen, run: Path) -> None:
        """Until the training has written something since, and a random time more."""
        before = size(run / "metrics.jsonl")
        while process.poll() is None and size(run / "metrics.jsonl") == before:
            if self.rng.random() < 0.002:
                return  # some die young
            time.sleep(0.1)
        wait = self.rng.expovariate(1 / 4)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait)

    def kill(self, run: Path) -> None:
        process = self.train(run)
        self.wait_a_little(process, run)
        if process.poll() is None:
            self.count["killed"] += 1
            process.send_signal(signal.SIGKILL)
        elif process.returncode != 0:
            fail(f"training failed: {process.stdout.read()}", run)
        process.communicate()

    def fill(self, run: Path) -> None:
        process = self.train(run)
        self.wait_a_little(process, run)
        filling = self.folder / "filling"
        with filling.open("wb", buffering=0) as file:
            try:
                while process.poll() is None:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
        output, _ = process.communicate(timeout=300)
        filling.unlink()
        if process.returncode == 0:
            return  # it had ended
        self.count["disk filled"] += 1
        if "Traceback" in output or "no space left" not in output.lower():
            fail(f"a full disk was not named in a line: {output}", run)

    def contend(self, run: Path) -> None:
        process = self.train(run)
        self.wait_a_little(process, run)
        if process.poll() is None and (run / "metrics.jsonl").exists():
            second = subprocess.run([*TRAIN, str(run)], capture_output=True, text=True)
            said = second.stdout + second.stderr
            if process.poll() is None:
                self.count["second processes"] += 1
                if second.returncode == 0 or "Traceback" in said or str(process.pid) not in said:
                    fail(f"a second process was not turned away: {said}", run)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def check(self, run: Path) -> None:
        """The newest checkpoint opens, and is as new as any that was there."""
        if not (run / "config.json").exists():
            return
        if RunFolder.open(run).latest_update is None:
            if self.restored:
                fail(f"no checkpoint is left; that of update {self.restored} was there", run)
            return
        update, _ = newest(run)
        if update < self.restored:
            fail(f"the newest checkpoint is of update {update}; {self.restored} was there", run)
        self.restored = update
        self.count["checkpoints opened"] += 1

    def compare(self, run: Path) -> None:
        lines, (_, params) = metrics(run), newest(run)
        if lines != self.expected[0]:
            wrong = [(a, b) for a, b in zip(lines, self.expected[0], strict=False) if a != b]
            fail(f"{len(lines)} lines of metrics, the first that is wrong: {wrong[:1]}", run)
        for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(self.expected[1]), strict=True):
            if not np.array_equal(a, b):
                fail("the parameters are not those of the unbroken run", run)


def metrics(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in CLOCK} for line in lines]


def newest(run: Path) -> tuple[int, Any]:
    """Update and policy of the newest checkpoint that opens."""
    policy, _, update = evaluate.load(RunFolder.open(run))
    return update, jax.device_get(policy)


def size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def fail(what: str, run: Path) -> None:
    sys.exit(f"{run}: {what}")


if __name__ == "__main__":
    main()
