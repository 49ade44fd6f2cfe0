"""Experiments for a lesson: each a question, a load, what is expected, and claims that are checked.

An experiment is data (`catalogue`); `judge` checks it against figures, `conduct` measures it, and
`command` is `python -m loadgen experiment`.
"""
