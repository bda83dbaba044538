"""One training program over many devices and processes.

The batch of environments is split over the devices of a mesh; everything else is the
same on all of them. Programs are written for the whole batch, and the compiler adds
what sums and means need of communication. So results do not depend on the number of
devices, but for the order of float additions.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from agents.failures import RunError

ENVS = "envs"


def mesh(devices: Sequence[Any]) -> Mesh:
    """Devices in a row, over which the environments are split."""
    return Mesh(np.asarray(devices), (ENVS,))


def split(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Of arrays whose `axis` is the batch."""
    return NamedSharding(mesh, _spec(axis))


def same(mesh: Mesh) -> NamedSharding:
    """Of arrays that all devices have whole."""
    return NamedSharding(mesh, PartitionSpec())


def by_rows(
    function: Callable[..., Any], mesh: Mesh, axes: Sequence[int | None], out_axis: int = 0
) -> Callable[..., Any]:
    """`function`, of each device's rows alone.

    For what treats every environment for itself: nothing is moved between devices, which
    sorting or indexing the whole batch would do. `axes` are the batch axes of the
    arguments (None: it has none), `out_axis` is that of all results.
    """
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=tuple(PartitionSpec() if axis is None else _spec(axis) for axis in axes),
        out_specs=_spec(out_axis),
        check_vma=False,
    )


def _spec(axis: int) -> PartitionSpec:
    return PartitionSpec(*[None] * axis, ENVS)


def connect(coordinator: str | None, processes: int | None, process_id: int | None) -> None:
    """Make this process one of several that train together, before JAX is used.

    What is None is read from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID. The coordinator "auto" leaves all of it to what the cluster says
    (Slurm, Open MPI, Kubernetes, Cloud TPU). Without a coordinator the process is alone.

    Raises:
        ValueError: if these do not fit together.
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    processes = _integer(processes, "JAX_NUM_PROCESSES")
    process_id = _integer(process_id, "JAX_PROCESS_ID")
    if coordinator == "auto":
        jax.distributed.initialize()
        return
    given = (coordinator, processes, process_id)
    if all(value is None for value in given):
        return
    if coordinator is None or processes is None or process_id is None:
        raise ValueError(
            "several processes need coordinator, processes and process_id; given are {}, {} "
            "and {}".format(*given)
        )
    if not coordinator.rpartition(":")[2].isdecimal() or ":" not in coordinator:
        raise ValueError(f"coordinator must be HOST:PORT or auto, got {coordinator!r}")
    if not 0 <= process_id < processes:
        raise ValueError(
            f"process_id must be in 0..processes - 1 = {processes - 1}, got {process_id}"
        )
    jax.distributed.initialize(coordinator, processes, process_id)


def _integer(value: int | None, variable: str) -> int | None:
    text = os.environ.get(variable)
    if value is not None or text is None:
        return value
    if not text.isdecimal():
        raise ValueError(f"the environment variable {variable} must be a number, is {text!r}")
    return int(text)


def choose_devices(count: int | None) -> list[Any]:
    """The first `count` devices of all processes; None: all of them.

    Raises:
        ValueError: if there are fewer, or if a process would be left without.
    """
    devices = jax.devices()
    if count is None:
        return devices
    if not 1 <= count <= len(devices):
        raise ValueError(f"devices must be in 1..{len(devices)}, got {count}")
    if count != len(devices) and jax.process_count() > 1:
        raise ValueError(f"several processes use all their {len(devices)} devices, not {count}")
    return devices[:count]


def on_first_process(action: Callable[[], Any]) -> None:
    """Do something to the disk once; the other processes wait for it.

    Raises:
        RunError, OSError: that of `action`, or on other processes that there was one.
    """
    error: RunError | OSError | None = None
    if jax.process_index() == 0:
        try:
            action()
        except (RunError, OSError) as raised:
            error = raised
    failed = on_any_process([error is not None])[0]
    if error is not None:
        raise error
    if failed:
        raise RunError("process 0 refused; its message says why")


def on_any_process(flags: Sequence[bool]) -> list[bool]:
    """Each flag, true on all processes if it is on one."""
    if jax.process_count() == 1:
        return list(flags)
    return multihost_utils.process_allgather(np.asarray(flags)).any(0).tolist()


def from_first_process(value: int) -> int:
    """The value that process 0 has."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))
