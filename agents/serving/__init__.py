"""Serving: vLLM's servers, how they live and die, and the weights that come and go on them."""
