"""One self-contained page that compares runs, and its figures and tables as files."""

from agents.report.page import write

__all__ = ["write"]
