"""What can go wrong with a run, and whose fault an error is."""

import dis


class RunError(Exception):
    """A run folder cannot be used as asked; the message says why and what can be done."""


class DivergedError(RunError):
    """The training is no longer finite; the last good checkpoint is named."""


def is_refusal(error: BaseException) -> bool:
    """Whether the project itself refuses something that it was given, by a `raise` of its own.

    Its message then says all that the user needs; so does the system's of a file that cannot be
    read or written. Any other error is a bug, of the project or of a library, and needs its
    traceback: `int("x")` in our code raises a ValueError too.
    """
    if isinstance(error, RunError | OSError):
        return True
    at = error.__traceback__
    if at is None or not isinstance(error, ValueError | TypeError):
        return False
    while at.tb_next is not None:
        at = at.tb_next
    package = at.tb_frame.f_globals.get("__name__", "").split(".")[0]
    instruction = at.tb_frame.f_code.co_code[at.tb_lasti]
    return package in ("agents", "metaenvs") and dis.opname[instruction] == "RAISE_VARARGS"
