"""From YAML to plain data, and all that may be wrong with it, told by line and column."""
