"""Settings of all tests."""

import os

# The references need no window, and JAX no accelerator, to be right.
os.environ.setdefault("MUJOCO_GL", "disable")
