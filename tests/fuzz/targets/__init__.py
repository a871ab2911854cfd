"""One module a target (see `tests.fuzz.target.Target`); a new one needs no more than its file here."""
