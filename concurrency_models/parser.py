"""How both commands take their arguments, and complain of those that they do not understand."""

import argparse
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NoReturn

USAGE_ERROR: Final = 2
"""The exit status."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line.

    speaker: whom the line is from; its `prog` where that is empty. words: what may stand in place
    of options, and what to write for each.
    """

    speaker = ""
    words: Mapping[str, str] = MappingProxyType({})

    def error(self, message: str) -> NoReturn:
        """Print the line and exit as a usage error."""
        hint = self._did_you_mean(message) or "--help explains the options"
        print(f"{self.speaker or self.prog}: {message} ({hint})", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)

    def _did_you_mean(self, message: str) -> str:
        """What is nearest to the first argument that was not understood; "" where nothing is."""
        _, unknown, arguments = message.partition("unrecognized arguments: ")
        if not unknown:
            return ""
        import difflib  # noqa: PLC0415 - for a mistake alone; forked children need not map it

        known = {option: option for option in self._option_string_actions} | dict(self.words)
        word = arguments.split()[0].partition("=")[0]
        near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
        return f"did you mean {known[near[0]]}?" if near else ""
