"""Ways to serve many clients, side by side.

One conversation, one server, and one small file for each model of concurrency.
"""
