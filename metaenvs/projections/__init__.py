"""Families of random linear projections. A new family is one file and one line here."""

from metaenvs import errors
from metaenvs.projections.base import Projection, ProjectionFamily
from metaenvs.projections.free import Free
from metaenvs.projections.gaussian import Gaussian
from metaenvs.projections.identity import Identity
from metaenvs.projections.orthogonal import Orthogonal
from metaenvs.projections.permutation import Permutation
from metaenvs.projections.sparse import Sparse

FAMILIES: dict[str, type[ProjectionFamily]] = {
    "orthogonal": Orthogonal,
    "gaussian": Gaussian,
    "free": Free,
    "permutation": Permutation,
    "sparse": Sparse,
    "identity": Identity,
}


def make(
    name: str, obs_size: int, action_size: int, max_obs: int = 0, max_act: int = 0
) -> ProjectionFamily:
    """The family called `name` at these sizes.

    Raises:
        ValueError: if there is no such family, or a task's size exceeds the agent's.
    """
    family = errors.lookup(FAMILIES, name, "projection family")
    return family(obs_size, action_size, max_obs, max_act)


__all__ = ["FAMILIES", "Projection", "ProjectionFamily", "make"]
