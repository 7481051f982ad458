"""How a policy learns: episodes become examples, examples become a loss.

To add a method: one file in `methods/`, and one line in `methods/__init__.py`.
"""

from .methods import MethodChoice

__all__ = ["MethodChoice"]
