"""Ways to serve many clients, side by side.

One talk, one server, and one small file for each model of concurrency.
"""

import sys

__version__ = "0.1.0"

# Before anything is imported that an older one would stumble over, with a traceback.
if sys.version_info < (3, 11):  # noqa: UP036 - a clone is run by whatever python3 there is
    sys.exit(
        f"concurrency_models: this needs Python 3.11 or later, and {sys.executable} is "
        f"{sys.version.split()[0]}; name a later one, such as python3.13"
    )
