"""The algorithms that `objective` knows by name, as settings of it.

DAPO's soft overlong punishment is an option (`overlong`), for its buffer is a part of `max_tokens`.
REINFORCE++ pays for the whole completion's KL at each token, in the paper for that of the tokens
from there on, and scales completions, not tokens.
"""

from typing import Any

LIKE: dict[str, dict[str, Any]] = {
    "grpo": {},
    "dr_grpo": {"scale": "none", "mean": "budget", "kl": 0.0},
    "dapo": {"clip_high": 0.28, "mean": "token", "kl": 0.0, "cut": "drop"},
    "gspo": {"ratio": "mean", "clip_low": 3e-4, "clip_high": 4e-4, "kl": 0.0},
    "rloo": {
        "baseline": "others",
        "scale": "none",
        "ratio": "sum",
        "kl": 0.05,
        "kl_in": "reward",
        "kl_by": "k1",
    },
    "ppo": {
        "baseline": "none",
        "scale": "batch",
        "mean": "token",
        "kl": 0.05,
        "kl_in": "reward",
        "kl_by": "k1",
        "critic": {},
    },
    "reinforce++": {"baseline": "none", "scale": "batch", "kl_in": "reward", "kl_by": "k1"},
}
"""What sets each named algorithm apart: GRPO (arXiv:2402.03300), Dr. GRPO (2503.20783), DAPO
(2503.14476), GSPO (2507.18071), RLOO (2402.14740), PPO (1707.06347), REINFORCE++ (2501.03262)."""
