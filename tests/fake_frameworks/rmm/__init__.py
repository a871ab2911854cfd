from rmm import mr  # noqa: F401 - as RMM itself
