"""A cycle: they talk, learn, are served anew and examined; what was said may be played again."""
