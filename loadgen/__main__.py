"""`python -m loadgen`."""

from loadgen.command.main import command

if __name__ == "__main__":
    command()
