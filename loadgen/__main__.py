"""`python -m loadgen`."""

import signal
import sys
from importlib.util import find_spec

REQUIRED = ("msgspec", "psutil", "rich", "tabulate")


def main() -> None:
    """Run the program; exit with a line where a package is missing that it cannot do without."""
    # Importing all of it takes a while: until there is anything to stop, Ctrl-C just ends it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if missing := [name for name in REQUIRED if find_spec(name) is None]:
        sys.exit(
            f"loadgen: {sys.executable} lacks {', '.join(missing)}; in the kit's folder: "
            "python3 -m venv .venv && .venv/bin/pip install -e '.[report]', "
            "then .venv/bin/python -m loadgen"
        )
    from loadgen.command.main import command  # noqa: PLC0415 - imports them

    command()


if __name__ == "__main__":
    main()
