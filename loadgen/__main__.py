"""`python -m loadgen`."""

import signal

# Importing all of it takes a while: until there is anything to stop, Ctrl-C just ends the program.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from loadgen.command.main import command  # noqa: E402

if __name__ == "__main__":
    command()
