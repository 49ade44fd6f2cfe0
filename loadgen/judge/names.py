"""Several names, and what is said of each, in one sentence."""

from collections.abc import Sequence


def separated(names: Sequence[str]) -> str:
    """Names between commas; between semicolons where one has a comma of its own."""
    return _separator(names).join(names)


def listed(names: Sequence[str]) -> str:
    """One name or several as part of a sentence: the same, with an "and" before the last."""
    *others, last = names
    return f"{_separator(names).join(others)} and {last}" if others else last


def _separator(names: Sequence[str]) -> str:
    return "; " if any("," in name for name in names) else ", "
