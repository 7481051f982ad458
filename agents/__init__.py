"""Who speaks: engines, the agents that speak through them, and populations of agents."""

import logging

# PEFT imports it wherever it is installed, and on some CPUs it warns then of a kernel from a hub.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
