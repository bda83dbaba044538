"""Command lines read into dataclasses, and their help in the words of a user."""

import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

Command = TypeVar("Command")

UNSET = "unset"
"""In the help and on the command line: left out, which the option's text describes."""


def _whole(text: str) -> int:
    """A whole number, however it is written: 1_000_000, 1e6."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not number.is_integer():
        raise ValueError(f"{text} is no whole number")
    return int(number)


_KINDS: dict[type, tuple[str, Callable[[str], Any]]] = {
    int: ("N", _whole),
    float: ("NUMBER", float),
    str: ("NAME", str),
    Path: ("PATH", Path),
}
"""By type: what the help calls a value, and how it is read."""

_RULES = ConstructorRegistry()


@_RULES.primitive_rule
def _value(about: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """Values of one word. One that may be left out is not shown as a choice with None."""
    optional = False
    kind: Any = about.type
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        inner = [each for each in typing.get_args(kind) if each is not types.NoneType]
        optional = len(inner) < len(typing.get_args(kind))
        if not optional or len(inner) != 1:
            return None
        kind = inner[0]
    if kind not in _KINDS:
        return None
    shown, read = _KINDS[kind]
    accepted = (int, float) if kind is float else kind

    def from_words(words: list[str]) -> Any:
        return None if optional and words[0] in (UNSET, "None") else read(words[0])

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=shown,
        instance_from_str=from_words,
        is_instance=lambda x: isinstance(x, accepted) or (optional and x is None),
        str_from_instance=lambda x: [UNSET if x is None else str(x)],
    )


def parse(
    command: type[Command],
    argv: list[str],
    prog: str,
    default: Command | None = None,
    description: str | None = None,
) -> Command:
    """The command that `argv` says; ends the program with help or a message instead.

    Args:
        command: a dataclass; its docstrings are the help.
        argv: words after the command's name.
        prog: how the command is called.
        default: values of what is not given (default: the dataclass's own).
        description: of the command (default: the dataclass's docstring).
    """
    given: dict[str, Any] = {} if default is None else {"default": default}
    read: Command = tyro.cli(
        command, args=argv, prog=prog, description=description, registry=_RULES, **given
    )
    return read
