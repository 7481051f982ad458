"""LaSeR: a policy's verdict on its own answer, read off one token (arXiv:2510.14943).

Shapes: N completions.
"""

from torch import Tensor


def self_reward(probe: Tensor, constant: Tensor | float, beta: float) -> Tensor:
    """Return (N,) β · log π(z | x, y) - β · c: about 1 for an answer held right, 0 for a wrong one.

    Args:
        probe: (N,) log π(z | x, y) of the special token z right after the answer's last token.
        constant: c, what the anchor gives z in the mean, in nats, or (N,) what it gives it here.
        beta: β.
    """
    return beta * (probe - constant)


def self_reward_loss(found: Tensor, verified: Tensor, weights: Tensor) -> Tensor:
    """Return (N,) w · (r_s - r_v)², the squared error of self-rewards (eq. 10).

    Args:
        found: (N,) r_s.
        verified: (N,) r_v, 1 for a right answer and 0 for a wrong one; carries no gradient.
        weights: (N,) w, see `balance`.
    """
    return weights * (found - verified.detach()).square()


def balance(verified: Tensor) -> Tensor:
    """Return (N,) the weights that make the right and the wrong count alike, however rare one is.

    N / (2 N_c) for the N_c right answers and N / (2 N_i) for the N_i wrong ones (eq. 10).  A class
    that is absent weighs nothing: then the other weighs as if it were half of the answers.

    Args:
        verified: (N,) r_v, as in `self_reward_loss`.
    """
    right = verified.detach() > 0.5
    n, n_right = len(right), right.sum()
    share = right * n_right + ~right * (n - n_right)
    return n / (2.0 * share)
