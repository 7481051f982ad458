"""The files of a run's directory: whose it is, what stands in them, and how they are written."""
