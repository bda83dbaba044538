"""The `metaenvs` command. Its parts are in `agents.commands`."""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from agents.commands import COMMANDS
from agents.failures import RunError, is_refusal

DEBUG = "--debug"
"""Of every command: a message comes with its traceback."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(usage(), end="")
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"metaenvs {metadata.version('metaenvs')}")
        return 0
    if argv[0] not in COMMANDS:
        message = f"unknown command {argv[0]!r}. Choices: {', '.join(COMMANDS)}"
        print(f"metaenvs: {message}", file=sys.stderr)
        return 2
    # What a screen has no letter for is shown as another: no reason to lose a result.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # Before jax is imported: XLA's C++ start-up chatter is of no use to the user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "METAENVS_CACHE" in os.environ:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.environ["METAENVS_CACHE"])
    command = importlib.import_module(f"agents.commands.{argv[0]}")
    try:
        return command.main([word for word in argv[1:] if word != DEBUG]) or 0
    except (ValueError, TypeError, OSError, RunError) as error:
        if DEBUG in argv or not is_refusal(error):
            raise
        said = str(error)
        if isinstance(error, OSError) and error.filename:
            said = f"{error.filename}: {error.strerror}"
        print(f"metaenvs: {said}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def usage() -> str:
    """All commands, a line or two each."""
    lines = ["usage: metaenvs COMMAND [options]", "       metaenvs --version", ""]
    for call, summary in COMMANDS.values():
        if len(call) <= 25:
            lines.append(f"  {call:<25} {summary}")
        else:
            lines += [f"  {call}", f"  {'':<25} {summary}"]
    lines += [
        "",
        "`metaenvs COMMAND --help` shows a command's options.",
        "--debug shows where in the code a message comes from.",
        "METAENVS_CACHE=FOLDER in the environment keeps compiled programs there between runs.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
