"""How a policy learns: episodes become examples, examples become a loss."""
