"""A person as an engine: what is asked waits on a page until somebody replies."""
