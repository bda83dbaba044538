"""The same training on one device, on eight, and in two processes."""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from agents import presets
from agents.config import PPOConfig
from agents.learner import parallel, ppo
from agents.learner.trainer import Trainer
from agents.runs import loop
from agents.runs.run_folder import RunFolder

DEMO = presets.preset("demo")  # what the command line starts from
# Compiles in seconds.
PENDULUM = dataclasses.replace(
    DEMO,
    env="Pendulum-v1",
    rollout_steps=64,
    steps=4 * 64 * 16,  # four updates
    envs=16,
    checkpoint_every=2,
    model=dataclasses.replace(DEMO.model, layers=1, width=8, state_size=4, encoder=(8,), head=(8,)),
    ppo=dataclasses.replace(DEMO.ppo, minibatches=2, epochs=2),
)
# Trials over tasks, their rows sorted on each device for itself.
LITE = dataclasses.replace(PENDULUM, env="RandomProjection-Lite-v0", rollout_steps=250)
LITE = dataclasses.replace(LITE, steps=3 * 250 * 16)


def flags(config):
    out = []
    for name in ("env", "rollout_steps", "steps", "envs", "checkpoint_every"):
        out += [f"--{name.replace('_', '-')}", str(getattr(config, name))]
    for name in ("layers", "width", "state_size", "encoder", "head"):
        value = getattr(config.model, name)
        value = value[0] if isinstance(value, tuple) else value
        out += [f"--model.{name.replace('_', '-')}", str(value)]
    return [*out, "--ppo.minibatches", "2", "--ppo.epochs", "2"]


def command(config, path, *more):
    return [sys.executable, "-m", "agents.cli", "train", *flags(config), "--out", str(path), *more]


def environment(devices):
    there = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COORDINATOR")}
    flags = f"{there['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    return {**there, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}


def assert_agree(a, b):
    """Two finished runs: what they learned and what they logged."""
    shapes = Trainer(a.config).state_shapes()
    (update, x), (other, y) = (run.checkpoints.restore(shapes) for run in (a, b))
    assert update == other == Trainer(a.config).updates
    for left, right in zip(jax.tree.leaves(x.params), jax.tree.leaves(y.params), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    assert len(a.read_metrics()) == len(b.read_metrics()) == update
    for left, right in zip(a.read_metrics(), b.read_metrics(), strict=True):
        for name in ("loss", "value_loss", "grad_norm", "param_norm"):
            np.testing.assert_allclose(left[name], right[name], rtol=1e-3)
        for task, value in left["return"].items():
            assert (value is None) == (right["return"][task] is None)
            if value is not None:
                np.testing.assert_allclose(value, right["return"][task], rtol=1e-3, atol=1e-3)


def trained_here(config, path):
    run = RunFolder.create(path, config)
    loop.train(run)
    return run


def trained_on_devices(config, path, count=8):
    child = subprocess.run(
        command(config, path), env=environment(count), check=True, capture_output=True, text=True
    )
    assert f"{count} cpu device(s)" in child.stdout
    return RunFolder.open(path)


def trained_in_two_processes(config, path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    more = ["--coordinator", f"localhost:{port}", "--processes", "2", "--process-id"]
    children = [
        subprocess.Popen(
            command(config, path, *more, str(i)),
            env=environment(1),
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    first, second = (child.communicate(timeout=600)[0] for child in children)
    assert [child.returncode for child in children] == [0, 0]
    assert "2 cpu device(s)" in first
    assert "update" not in second  # process 0 speaks for all
    return RunFolder.open(path)


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_several_devices_agree_with_one(count, tmp_path):
    one = trained_here(PENDULUM, tmp_path / "one")
    several = trained_on_devices(PENDULUM, tmp_path / "several", count)
    assert_agree(one, several)
    # A run that began on several devices goes on wherever it is resumed.
    shutil.rmtree(several.path / "checkpoints" / "4")
    resumed = RunFolder.resume(several.path, PENDULUM)
    assert resumed.latest_update == 2
    loop.train(resumed)
    assert_agree(one, resumed)


@pytest.mark.slow
@pytest.mark.parametrize("config", [PENDULUM, LITE], ids=lambda c: c.env)
def test_two_processes_and_eight_devices_agree_with_one(config, tmp_path):
    one = trained_here(config, tmp_path / "one")
    assert_agree(one, trained_in_two_processes(config, tmp_path / "processes"))
    assert_agree(one, trained_on_devices(config, tmp_path / "devices"))


def test_minibatches_are_a_partition_that_takes_neighbours_apart():
    n, count = 24, 4
    chosen = ppo.minibatches(jax.random.key(0), n, count)
    rows = np.arange(n)[None] * np.ones((3, 1), int)
    parts = np.stack([ppo.minibatch(rows, chosen[i]) for i in range(count)])
    assert parts.shape == (count, 3, n // count)
    assert sorted(parts[:, 0].ravel()) == list(range(n))
    # On any device that holds whole groups of neighbours, every minibatch has its share.
    np.testing.assert_array_equal(parts[:, 0] // count, np.arange(n // count)[None].repeat(4, 0))
    other = ppo.minibatches(jax.random.key(1), n, count)
    assert not np.array_equal(chosen, other)


def test_environments_that_cannot_be_split_are_refused_before_compilation():
    devices = jax.devices() * 3
    with pytest.raises(ValueError, match=r"envs=16 must be a multiple of 6: 3 device\(s\) x"):
        Trainer(PENDULUM, devices)
    with pytest.raises(ValueError, match=r"envs=16 must be a multiple of ppo.minibatches=3"):
        dataclasses.replace(PENDULUM, ppo=PPOConfig(minibatches=3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("host:1", None, None), "need coordinator, processes and process_id"),
        ((None, 2, 0), "need coordinator, processes and process_id"),
        (("host", 2, 0), "must be HOST:PORT or auto, got 'host'"),
        (("host:1", 2, 2), r"process_id must be in 0..processes - 1 = 1, got 2"),
    ],
)
def test_processes_that_do_not_fit_together_are_refused(arguments, message, monkeypatch):
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=message):
        parallel.connect(*arguments)


def test_the_environment_says_what_flags_do_not(monkeypatch):
    seen = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *given: seen.append(given))
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "host:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "3")
    monkeypatch.setenv("JAX_PROCESS_ID", "1")
    parallel.connect(None, None, None)
    parallel.connect(None, None, 2)
    assert seen == [("host:1", 3, 1), ("host:1", 3, 2)]
    monkeypatch.setenv("JAX_PROCESS_ID", "one")
    with pytest.raises(ValueError, match="JAX_PROCESS_ID must be a number, is 'one'"):
        parallel.connect(None, None, None)
