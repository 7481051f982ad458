"""Weights: from the user's `model:` to files on this disk, and into memory."""
