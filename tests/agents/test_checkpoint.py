"""Checkpoints under damage: cut off, altered, deleted, a full disk. Small states."""

import gc
import json
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from agents.failures import RunError
from agents.runs.checkpoint import Checkpoints
from agents.runs.sums import SUMS


def state(update):
    # Large and random enough that the arrays get a file of their own.
    key = jax.random.key(update)
    return {
        "params": {"kernel": jax.random.normal(key, (64, 64))},
        "env_state": {"position": jnp.full(3, update, jnp.float32), "over": jnp.ones(3, bool)},
    }


def shapes():
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        jax.eval_shape(lambda: state(0)),
    )


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def damage(path, how):
    if how == "deleted":
        path.unlink()
        return
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if how == "cut":
        del content[middle:]
    else:
        content[middle] ^= 1
    path.write_bytes(content)


@pytest.fixture
def checkpoints(tmp_path):
    """Three checkpoints, of updates 1, 2 and 3."""
    out = Checkpoints(tmp_path / "checkpoints", keep=3, writable=True)
    for update in (1, 2, 3):
        out.save(update, state(update))
    return out


def test_the_newest_checkpoint_is_restored(checkpoints):
    assert checkpoints.updates == [1, 2, 3]
    update, restored = checkpoints.restore(shapes())
    assert update == 3
    assert_same(restored, state(3))


def test_every_kind_of_damage_to_any_file_leads_to_the_one_before(checkpoints, capsys):
    newest = checkpoints.path / "3"
    whole = checkpoints.path.parent / "whole"
    shutil.copytree(newest, whole)
    files = [p.relative_to(whole) for p in whole.rglob("*") if p.is_file()]
    assert any(p.stat().st_size > 10_000 for p in whole.rglob("*"))  # the kernel

    for name in files:
        for how in ("deleted", "cut", "one bit flipped"):
            damage(newest / name, how)
            update, restored = checkpoints.restore(shapes())
            assert update == 2, (name, how)
            # Without its sums a checkpoint is one that was never finished: no word of it.
            warned = "checkpoint 3" in capsys.readouterr().out
            assert warned or (name.name == SUMS and how == "deleted"), (name, how)
            shutil.rmtree(newest)
            shutil.copytree(whole, newest)
    assert_same(restored, state(2))
    assert checkpoints.restore(shapes())[0] == 3


def test_an_unfinished_checkpoint_counts_as_absent(checkpoints, tmp_path):
    (checkpoints.path / "3" / SUMS).unlink()
    (checkpoints.path / "4.orbax-checkpoint-tmp").mkdir()
    (checkpoints.path / "4.orbax-checkpoint-tmp" / "half").write_text("h")
    reader = Checkpoints(checkpoints.path, keep=3, writable=False)
    assert reader.updates == [1, 2]
    assert (checkpoints.path / "4.orbax-checkpoint-tmp").exists()  # perhaps it is being written
    writer = Checkpoints(checkpoints.path, keep=3, writable=True)
    update, _ = writer.restore(shapes())
    writer.set_aside_after(update)
    writer.save(3, state(3))
    assert writer.restore(shapes())[0] == 3
    assert (tmp_path / "set_aside" / "3").is_dir()
    assert not (checkpoints.path / "4.orbax-checkpoint-tmp").exists()


def test_nothing_whole_is_an_error_that_lists_what_there_is(checkpoints, tmp_path):
    for update in (1, 2, 3):
        next(p for p in (checkpoints.path / str(update)).rglob("_METADATA")).unlink()
    with pytest.raises(RunError, match=r"no checkpoint is whole; damaged are \[3, 2, 1\]"):
        checkpoints.restore(shapes())
    with pytest.raises(RunError, match=r"no checkpoint; continue the run with --resume"):
        Checkpoints(tmp_path / "other", keep=2, writable=True).restore(shapes())


def test_parts_are_restored_alone_whatever_became_of_the_rest(checkpoints):
    _, agent = checkpoints.restore({"params": shapes()["params"]})
    assert_same(agent, {"params": state(3)["params"]})
    other = shapes()
    other["env_state"]["velocity"] = other["env_state"].pop("position")
    with pytest.raises(RunError, match=r"does not fit.*env_state.velocity \(absent saved, \(3,\)"):
        checkpoints.restore(other)


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2, writable=True)
    assert checkpoints.best is None
    for update, score in enumerate([None, 5.0, 9.0, -1.0, None, 7.0, 8.0], start=1):
        checkpoints.save(update, state(update), score)
    assert checkpoints.updates == [3, 6, 7]
    assert checkpoints.best == 3
    assert_same(checkpoints.restore(shapes(), at=3)[1], state(3))
    assert Checkpoints(checkpoints.path, keep=2, writable=False).best == 3


# Writes that tensorstore had begun answer when orbax has closed its event loop.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_named_and_leaves_the_earlier_checkpoints(checkpoints, caplog):
    # A bound on the size of files stands in for a full disk: the kernel is 16 KiB.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(RunError, match=r"checkpoint 4 could not be written.*3 is whole"):
            checkpoints.save(4, state(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not caplog.records  # the error says it, and not the traceback of each thread
    assert checkpoints.updates == [1, 2, 3]
    checkpoints.save(4, state(4))
    assert checkpoints.restore(shapes())[0] == 4


def test_no_space_left_is_said_so(checkpoints, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints._manager, "save", full)
    with pytest.raises(RunError, match=r"checkpoint 4 .*\(no space left on the disk\).*--resume"):
        checkpoints.save(4, state(4))


def test_sums_are_in_the_format_of_sha256sum(checkpoints):
    lines = (checkpoints.path / "1" / SUMS).read_text().splitlines()
    assert all(len(line.partition("  ")[0]) == 64 for line in lines)
    assert json.loads((checkpoints.path / "1" / "_CHECKPOINT_METADATA").read_text())


NAMES = ["layers=[1,2]", "a[b", "a]b", "a\\b", "*?#%:=!", "%41%5B", "~ {x} $HOME '\"", "Größe 大"]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_may_have_any_name(name, tmp_path):
    for path in (tmp_path / name, tmp_path / name / "checkpoints"):
        checkpoints = Checkpoints(path, keep=2, writable=True)
        for update in (1, 2, 3):
            checkpoints.save(update, state(update), score=-float(update))
        again = Checkpoints(path, keep=2, writable=False)
        assert again.updates == [1, 2, 3] and again.best == 1
        update, restored = again.restore(shapes())
        assert update == 3 and again.fault(3) is None
        assert_same(restored, state(3))


# Orbax leaves what a failed read was waiting for to an event loop that is closed by then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_cannot_be_read_again_does_not_count_as_saved(checkpoints, monkeypatch):
    save = checkpoints._manager.save

    def loses_an_array(update, args, **kwargs):
        less = {**args.item, "params": {}}
        return save(update, args=ocp.args.PyTreeSave(less), **kwargs)

    def writes_nonsense(update, **kwargs):
        save(update, **kwargs)
        manifest = checkpoints.path / "4" / "default" / "manifest.ocdbt"
        manifest.write_bytes(b"x" * 100)

    for fault, message in (
        (loses_an_array, "params.kernel is None"),
        (writes_nonsense, "could not be written"),
    ):
        monkeypatch.setattr(checkpoints._manager, "save", fault)
        with pytest.raises(RunError, match=message):
            checkpoints.save(4, state(4))
        assert checkpoints.updates[-2:] == [2, 3]
    monkeypatch.setattr(checkpoints._manager, "save", save)
    checkpoints.save(4, state(4))
    assert checkpoints.restore(shapes())[0] == 4
    gc.collect()  # what it left is found here, not in another test
