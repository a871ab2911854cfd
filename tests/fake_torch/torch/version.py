from torch import _machine

cuda = "12.8"
hip = None
__version__ = ".".join(map(str, _machine.VERSION)) + ".0+cu128"
