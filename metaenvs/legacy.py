"""The step of older Gymnax versions, for programs that unpack five values."""

from typing import Any

from gymnax.wrappers import LegacyStepAPIWrapper


class LegacyStep(LegacyStepAPIWrapper):
    """`step` returns (obs, state, reward, done, info); done is terminated or truncated.

    Unlike Gymnax's wrapper (1.0.1) it can be copied and pickled, which programs do with
    their settings. A copy is the environment itself: it never changes, and a different
    object would be compiled anew.
    """

    def __getattr__(self, name: str) -> Any:
        if name == "_env":  # not there yet: a copy is being made
            raise AttributeError(name)
        return super().__getattr__(name)

    def __eq__(self, other):
        return type(self) is type(other) and self._env == other._env

    def __hash__(self):
        return hash((type(self), self._env))

    def __repr__(self) -> str:
        return f"LegacyStep({self._env!r})"

    def __copy__(self) -> "LegacyStep":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "LegacyStep":
        return self
