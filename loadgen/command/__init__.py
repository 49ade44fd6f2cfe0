"""The command lines: parsers, and what their options amount to."""
