"""Settings of all tests."""

import os
import tempfile

# The references need no window, and JAX no accelerator, to be right.
os.environ.setdefault("MUJOCO_GL", "disable")

# Tests compile the same programs again and again, some in processes of their own.
_cache = tempfile.TemporaryDirectory(prefix="metaenvs-tests-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _cache.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
