"""Tells people what happened: `notice` has the words, `folding` decides what is worth a message, `services` sends it,
and `notifier` does so on a thread of its own. Imported by servers that were given `--notify` or `--notify-file` alone.
"""
