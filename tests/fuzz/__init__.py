"""Fuzzing of everything that reads bytes from elsewhere: `./run fuzz` (see `tests.fuzz.target`)."""
