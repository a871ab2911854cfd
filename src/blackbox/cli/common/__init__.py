"""What several commands need: their arguments, parsers, the settings, and how to ask a server."""
