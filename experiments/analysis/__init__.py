"""Analysis: who influenced whom, how far judges can be trusted, what one run gained on another."""
