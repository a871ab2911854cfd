"""What every command says first of a simulated machine."""

DEMO = "DEMO: simulated, no figure is real"
