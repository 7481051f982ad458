"""How a policy learns: episodes become examples, examples become a loss.

To add a method: one file beside this one, and one line in `MethodChoice`.
"""

from .cat import CaT

MethodChoice = CaT
"""What `method:` may be; a union discriminated by `kind` as soon as there is a second."""
