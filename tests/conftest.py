"""Settings of all tests."""

import gc
import os
import tempfile
from pathlib import Path

import pytest

# The references need no window, and JAX no accelerator, to be right.
os.environ.setdefault("MUJOCO_GL", "disable")

# Most of a test's time is XLA's compiler, whose effort programs this short do not repay.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
# Tests compile the same programs again and again, some in processes of their own.
_cache = tempfile.TemporaryDirectory(prefix="metaenvs-tests-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _cache.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


@pytest.fixture(autouse=True)
def _few_memory_maps():
    """Lets go of compiled programs before they are too many for the system.

    Each holds some memory maps, of which Linux allows a process 65,530 by default; XLA's
    compiler crashes there.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        import jax  # not above: it reads the settings there when it is imported

        jax.clear_caches()
        gc.collect()
