"""What can go wrong with a run; the command line prints the message alone."""


class RunError(Exception):
    """A run folder cannot be used as asked; the message says why and what can be done."""


class DivergedError(RunError):
    """The training is no longer finite; the last good checkpoint is named."""
