"""Several seeds in one program: each as its own run would be."""

import dataclasses
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.failures import RunError
from agents.learner.rollout import any_of_batch
from agents.learner.seeds import Seeds
from agents.learner.trainer import Trainer
from agents.runs import loop
from agents.runs.run_folder import RunFolder, prepare

CONFIG = TrainConfig(
    env="Pendulum-v1",
    rollout_steps=64,
    steps=4 * 64 * 4,  # four updates
    envs=4,
    seed=3,
    checkpoint_every=1,
    model=ModelConfig(layers=1, width=8, state_size=4, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=2),
)


def leaves(run):
    _, state = run.checkpoints.restore(Trainer(run.config).state_shapes())
    return jax.tree.leaves(state)


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Seeds 3 and 4, trained by one program."""
    path = tmp_path_factory.mktemp("runs") / "group"
    assert loop.train(*prepare(path, CONFIG, seeds=2, resume=False, overwrite=False))
    return path


def test_each_seed_is_a_run_folder_that_equals_its_own_single_run(group, tmp_path):
    for seed in (3, 4):
        of_group = RunFolder.open(group / f"seed{seed}")
        config = dataclasses.replace(CONFIG, seed=seed)
        assert of_group.config == config
        single = RunFolder.create(tmp_path / f"{seed}", config)
        loop.train(single)
        for x, y in zip(leaves(single), leaves(of_group), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
        for x, y in zip(single.read_metrics(), of_group.read_metrics(), strict=True):
            assert x["update"] == y["update"]
            np.testing.assert_allclose(x["loss"], y["loss"], rtol=1e-3)
            np.testing.assert_allclose(x["param_norm"], y["param_norm"], rtol=1e-5)


def test_seeds_differ(group):
    three, four = (RunFolder.open(group / f"seed{seed}") for seed in (3, 4))
    assert any(not np.array_equal(x, y) for x, y in zip(leaves(three), leaves(four), strict=True))


def test_a_group_resumes_from_the_last_update_that_all_have(group, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(group, path)
    # As if killed while update 4 was being written for the second seed, and 3 then damaged.
    shutil.rmtree(path / "seed4" / "checkpoints" / "4")
    next((path / "seed3" / "checkpoints" / "3").rglob("_METADATA")).write_text("")
    runs = prepare(path, CONFIG, seeds=2, resume=True, overwrite=False)
    assert loop.train(*runs)
    for seed, run in zip((3, 4), runs, strict=True):
        assert [line["update"] for line in run.read_metrics()] == [1, 2, 3, 4]
        unbroken = RunFolder.open(group / f"seed{seed}")
        for x, y in zip(leaves(unbroken), leaves(run), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("batched", [False, True])
def test_split_is_the_inverse_of_join(batched):
    seeds = Seeds(Trainer(CONFIG), [3, 4])
    seeds.batched = batched
    state = seeds.init()
    again = seeds.join(seeds.split(state))
    jax.tree.map(np.testing.assert_array_equal, state, again)
    (single,) = Seeds(Trainer(CONFIG), [4]).init()
    jax.tree.map(np.testing.assert_array_equal, single, seeds.split(state)[1])


def test_batched_or_one_after_the_other_seeds_learn_the_same():
    """Batched is how accelerators train them."""
    seeds = Seeds(Trainer(CONFIG), [3, 4])
    states, metrics = seeds.update(seeds.init())
    seeds.batched = True
    batched, metrics_batched = seeds.update(seeds.init())
    pairs = (states, seeds.split(batched)), (metrics, seeds.split(metrics_batched))
    for ours, theirs in pairs:
        for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)


def test_decompositions_are_not_batched():
    """Batched ones stop XLA's threads on a CPU: see `Seeds.init`."""
    seeds = Seeds(Trainer(CONFIG), [3, 4])
    state = jax.eval_shape(seeds.init)
    programs = jax.jit(seeds.init).lower(), jax.jit(seeds.update).lower(state)
    operands = [
        shape.split("x")[:-1]
        for program in programs
        for shape in re.findall(
            r"@lapack_s(?:geqrf|orgqr)\w*\(.*: \(tensor<(\w+)>", program.as_text()
        )
    ]
    assert len(operands) > 4
    assert all(len(shape) == 2 for shape in operands), operands


def test_a_condition_on_anywhere_stays_one_under_vmap():
    def double_where(flags, x):
        return jax.lax.cond(any_of_batch(flags), lambda x: 2 * x, lambda x: x, x)

    flags, x = jnp.array([[False, True], [False, False]]), jnp.array([1.0, 2.0])
    assert "cond[" in str(jax.make_jaxpr(jax.vmap(double_where))(flags, x))
    np.testing.assert_array_equal(jax.vmap(double_where)(flags, x), [2.0, 4.0])
    np.testing.assert_array_equal(jax.vmap(double_where)(flags & False, x), [1.0, 2.0])


def test_folders_of_several_and_of_single_runs_are_not_mistaken(group):
    with pytest.raises(RunError, match=r"group exists.*--resume.*--overwrite"):
        prepare(group, CONFIG, seeds=2, resume=False, overwrite=False)
    with pytest.raises(RunError, match="holds a single run; name another folder"):
        prepare(group / "seed3", CONFIG, seeds=2, resume=True, overwrite=False)
    with pytest.raises(RunError, match=r"no run folder .*; there are runs in it: seed3, seed4"):
        RunFolder.open(group)
