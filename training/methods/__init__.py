"""Methods: what an episode teaches, and what loss teaches it.  One method a file."""

from .cat import CaT

MethodChoice = CaT
