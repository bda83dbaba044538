"""A folder belongs to one process: others are refused until it is done, or dead."""

import dataclasses
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents import cli
from agents import config as configs
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.failures import RunError
from agents.runs import loop
from agents.runs.lock import Lock
from agents.runs.run_folder import RunFolder

CONFIG = TrainConfig(
    env="CartPole-v1",
    rollout_steps=16,
    steps=64,
    envs=4,
    model=ModelConfig(layers=1, width=8, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=1),
)
HOLDER = """
import sys, time
from pathlib import Path
from agents.runs.lock import Lock
Lock(Path(sys.argv[1]), "trains").take()
print("taken", flush=True)
time.sleep(600)
"""


@pytest.fixture
def elsewhere():
    """A function that has another process take the lock at a path, until it is killed."""
    children = []

    def take(path: Path):
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
        )
        children.append(child)
        assert child.stdout and child.stdout.readline() == "taken\n"
        return child

    yield take
    for child in children:
        child.kill()
        child.communicate()


def test_a_lock_names_its_holder_and_ends_with_its_death(elsewhere, tmp_path):
    path = tmp_path / "lock"
    child = elsewhere(path)
    with pytest.raises(RunError, match=f"process {child.pid} on {platform.node()} eats here"):
        Lock(path, "eats here").take()
    child.send_signal(signal.SIGKILL)
    child.wait()
    with Lock(path, "eats here"):
        assert path.read_text() == f"process {os.getpid()} on {platform.node()}\n"
    assert not path.exists()


def test_a_process_may_take_its_own_lock_again(elsewhere, tmp_path):
    path = tmp_path / "lock"
    with Lock(path, "trains"):
        with Lock(path, "trains"):
            pass
        assert path.exists()
    elsewhere(path)


def test_a_folder_that_another_process_trains_into_is_left_alone(elsewhere, tmp_path, capsys):
    run = RunFolder.create(tmp_path / "run", CONFIG)
    assert loop.train(run, logs=())
    begun = run.path / "checkpoints" / "7.orbax-checkpoint-tmp"
    begun.mkdir()
    child = elsewhere(run.path / "lock")
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    for start in (
        lambda: RunFolder.resume(run.path, CONFIG),
        lambda: RunFolder.create(run.path, CONFIG, overwrite=True),
        lambda: loop.train(run),
    ):
        with pytest.raises(RunError, match=f"process {child.pid} on .* trains into .*run: two"):
            start()
    flags = ["--env", "CartPole-v1", "--rollout-steps", "16", "--overwrite"]
    assert cli.main(["train", *flags, "--out", str(run.path)]) == 2
    assert f"process {child.pid} on" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*")} == before
    assert RunFolder.open(run.path).latest_update == 1  # to read is allowed
    child.kill()
    child.wait()
    again = RunFolder.resume(run.path, CONFIG)
    for _ in range(200):  # orbax tidies up in a thread of its own
        if not begun.exists():
            break
        time.sleep(0.05)
    assert not begun.exists()
    again.release()


def test_of_two_that_start_at_once_one_trains(tmp_path):
    """Both find no folder; whoever is second is refused, and nothing is mixed."""
    config = dataclasses.replace(CONFIG, steps=64 * 200, checkpoint_every=20)
    script = (
        "import sys; from pathlib import Path; from agents import config, failures;"
        "from agents.runs import loop;"
        "from agents.runs.run_folder import RunFolder\n"
        "settings = config.from_json(sys.stdin.read())\n"
        "try: loop.train(RunFolder.resume(Path(sys.argv[1]), settings), logs=())\n"
        "except failures.RunError as error: print(error, file=sys.stderr); sys.exit(2)\n"
    )
    path = tmp_path / "run"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in both:
        assert child.stdin
        child.stdin.write(configs.to_json(config))
        child.stdin.close()
        child.stdin = None
    errors = [child.communicate()[1] for child in both]
    codes = [child.returncode for child in both]
    assert sorted(codes) == [0, 2], errors
    assert f"process {both[codes.index(0)].pid} on" in errors[codes.index(2)]
    lines = RunFolder.open(path).read_metrics()
    assert [line["update"] for line in lines] == list(range(1, 201))
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
