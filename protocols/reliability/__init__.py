"""How far judges can be trusted: pure functions of what they found.

Nothing here raises for too few data, or gives a NaN: what can't be told is `None`.
"""
