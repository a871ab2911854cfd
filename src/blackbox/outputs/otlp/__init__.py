"""Sends the newest moment's metrics to a collector: `endpoint` is where, `points` makes the messages, `sender` sends
one, `exporter` does so on a thread of its own, and `wiring` makes that of the settings. Imported by servers that were
given `--otlp` alone.
"""
