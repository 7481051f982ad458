"""The model that learns: its weights, and one pass over the prefix tree of a batch."""
