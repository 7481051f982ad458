"""Who speaks: engines, the agents that speak through them, and populations of agents."""
