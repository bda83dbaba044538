"""Errors that name the bad value and the valid choices."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def unknown(value: object, choices: Iterable[str], what: str) -> ValueError:
    """The error for a `value` that is none of `choices`, with the nearest one named."""
    choices = list(choices)
    near = difflib.get_close_matches(str(value), choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown {what} {value!r}.{hint} Choices: {', '.join(choices)}")


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """`table[name]`, or an error that names `name` and the choices."""
    try:
        return table[name]
    except (KeyError, TypeError):
        raise unknown(name, table, what) from None
