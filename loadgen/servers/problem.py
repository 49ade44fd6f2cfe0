"""How a server fails to be one to put load on: with a sentence for whoever asked for it."""


class TargetError(Exception):
    """A server that cannot be reached or started; its text is for a person and says what to do."""
