"""Limits: how much an engine is asked at once and in a while, and what its faults cost."""
