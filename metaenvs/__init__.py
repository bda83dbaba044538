"""metaenvs: in-context reinforcement learning over random tasks and projections.

env, params = metaenvs.make("RandomProjection-v0")
obs, state = env.reset(key, params)
obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)
"""

from metaenvs import _imports  # noqa: F401, I001  (before any other import of Gymnax)
from metaenvs import popgym, projections, tasks
from metaenvs._version import __version__
from metaenvs.registry import make, register, registered_envs, unregister
from metaenvs.trial import RandomProjection, TrialParams, TrialState

__all__ = [
    "RandomProjection",
    "TrialParams",
    "TrialState",
    "__version__",
    "make",
    "popgym",
    "projections",
    "register",
    "registered_envs",
    "tasks",
    "unregister",
]
