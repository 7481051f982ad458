"""Runs set side by side, each by itself or all seeds of one experiment as one."""
