"""How both commands take their arguments, and complain of those that they do not understand."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NoReturn

USAGE_ERROR: Final = 2
"""The exit status."""

UNRECOGNIZED: Final = "unrecognized arguments: "
"""How argparse begins to say what it did not understand."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line.

    speaker: whom the line is from; its `prog` where that is empty. words: what may stand in place
    of options, and what to write for each. commands: those of the words that are commands.
    """

    speaker = ""
    words: Mapping[str, str] = MappingProxyType({})
    commands: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Print the line and exit as a usage error."""
        hint = self._did_you_mean(message)
        _, unknown, arguments = message.partition(UNRECOGNIZED)
        if unknown and not hint and self.commands and not arguments.startswith("-"):
            known = ", ".join(self.commands)
            message = f"there is no command {arguments.split()[0]!r}; there are {known}"
        hint = hint or "--help explains the options"
        # What a message has in parentheses at its end, and what we add, are one remark.
        said = f"{message[:-1]}; {hint})" if message.endswith(")") else f"{message} ({hint})"
        print(f"{self.speaker or self.prog}: {said}", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)

    def _did_you_mean(self, message: str) -> str:
        """What is nearest to the first argument that was not understood; "" where nothing is."""
        _, unknown, arguments = message.partition(UNRECOGNIZED)
        if not unknown:
            return ""
        import difflib  # noqa: PLC0415 - for a mistake alone; forked children need not map it

        known = {option: option for option in self._option_string_actions} | dict(self.words)
        word = arguments.split()[0].partition("=")[0]
        near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
        return f"did you mean {known[near[0]]}?" if near else ""
