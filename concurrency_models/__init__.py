"""Ways to serve many clients, side by side.

One conversation, one server, and one small file for each model of concurrency.
"""

__version__ = "0.1.0"
