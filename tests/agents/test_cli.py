"""Which errors the command line turns into one line, and which keep their traceback."""

import pytest

from agents import cli
from agents.commands import list as listing
from agents.failures import RunError, is_refusal
from metaenvs import projections


def caught(function):
    with pytest.raises((ValueError, TypeError, RunError)) as error:
        function()
    return error.value


def test_what_the_project_refuses_is_a_refusal_and_a_bug_is_none():
    def refuse():
        raise RunError("there is no run")

    assert is_refusal(caught(refuse))
    assert is_refusal(caught(lambda: projections.make("haar", 4, 2)))
    assert is_refusal(caught(lambda: projections.make("orthogonal", 4, 2, 9)))
    # ValueErrors and TypeErrors too, but nobody has written a message for them.
    assert not is_refusal(caught(lambda: int("x")))
    assert not is_refusal(caught(lambda: projections.make("orthogonal", 4, 2, "9")))
    assert not is_refusal(caught(lambda: projections.make("orthogonal")))


def fails_with(error, monkeypatch):
    def main(argv):
        assert argv == ["projections"]  # --debug is no option of the command's
        if isinstance(error, Exception):
            raise error
        error()

    monkeypatch.setattr(listing, "main", main)


def test_a_refusal_is_one_line_and_debug_brings_its_traceback_back(monkeypatch, capsys):
    fails_with(lambda: projections.make("haar", 4, 2), monkeypatch)
    assert cli.main(["list", "projections"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("metaenvs: unknown projection family 'haar'")
    assert message.count("\n") == 1
    with pytest.raises(ValueError, match="haar"):
        cli.main(["list", "projections", "--debug"])


def test_a_bug_keeps_its_traceback(monkeypatch):
    fails_with(lambda: int("x"), monkeypatch)
    with pytest.raises(ValueError, match="invalid literal"):
        cli.main(["list", "projections"])
