"""DPO and its family: learning from preferences without a reward model (arXiv:2305.18290).

The preferences are the protocol's, fresh in every cycle (iterated, on-policy), or those of a file
(offline), or both.  `variant` names the family's member, see `losses.preference`; with `sft` the
negative log-likelihood of the chosen reply is added, the mean of its tokens (RPO, IRPO,
arXiv:2404.19733), and with `soft` a judge's probability is the label.  Rewards are measured against
the model of before the run, or with `against: cycle` of before the cycle, as iterated DPO has it
(IRPO; Self-Rewarding, arXiv:2401.10020).  Left out: AOT, whose loss belongs to ranks in a batch
(`losses.preference.aot` has it), for a step's pairs come in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args

from pydantic import Field, model_validator

from ..data.examples import Pair
from ..model.types import Encoder, Rows, Scores
from ..preferring import Preferring
from ..types import Look, Metrics
from .options import refuse_unused

if TYPE_CHECKING:
    from torch import Tensor

Loss = Literal[
    "sigmoid",
    "robust",
    "ipo",
    "hinge",
    "simpo",
    "orpo",
    "exo",
    "nca",
    "bco",
    "sppo",
    "apo_zero",
    "apo_down",
    "discopop",
]
FREE = ("simpo", "orpo")
"""The losses that need no anchor."""
MEANS = ("ipo", "simpo", "orpo")
"""The losses of the mean log-probability of a token."""
OPTIONS: dict[str, tuple[Loss, ...]] = {
    "soft": ("sigmoid", "sppo"),
    "noise": ("sigmoid", "robust", "exo", "sppo"),
    "gamma": ("simpo",),
    "against": tuple(one for one in get_args(Loss) if one not in FREE),
    "normalised": tuple(one for one in get_args(Loss) if one not in MEANS),
}
"""The losses that have a use for an option."""
OWN: dict[str, dict[str, float]] = {"simpo": {"beta": 2.5, "gamma": 1.375}, "orpo": {"sft": 1.0}}
"""What is otherwise by default in SimPO (arXiv:2405.14734) and in ORPO (arXiv:2403.07691)."""


class DPO(Preferring):
    """Make preferred replies likelier than rejected ones."""

    kind: Literal["dpo"] = "dpo"
    variant: Loss = "sigmoid"
    """The loss; `sigmoid` is DPO's own."""
    beta: float = Field(default=0.1, gt=0)
    """The implicit reward per nat: the larger, the closer the policy stays to the reference policy.
    Defaults to 2.5 with `simpo`."""
    against: Literal["start", "cycle"] = "start"
    """The reference policy: the anchor (`start`), or the policy that the cycle began with
    (`cycle`)."""
    normalised: bool = False
    """Whether log-probabilities are averaged over tokens instead of summed (LN-DPO)."""
    noise: float = Field(default=0.0, ge=0, lt=0.5)
    """How often labels are assumed to be wrong: with `sigmoid` this is conservative DPO, and
    likewise with `sppo`; a parameter of `robust` and `exo`, to which 0 is 0.001."""
    soft: bool = False
    """Whether the judges' probability is the label (`sigmoid` and `sppo`); otherwise the likelier
    side is taken as right."""
    gamma: float = Field(default=0.5, ge=0)
    """The target margin of `simpo`, with which it defaults to 1.375."""
    sft: float = Field(default=0.0, ge=0)
    """The weight of the chosen reply's negative log-likelihood; defaults to 1 with `orpo`."""

    @model_validator(mode="before")
    @classmethod
    def _own_defaults(cls, data: Any) -> Any:
        """Let a variant have its paper's own defaults."""
        if not isinstance(data, dict):
            return data
        given = cast(dict[str, Any], data)
        return {**OWN.get(str(given.get("variant")), {}), **given}

    @model_validator(mode="after")
    def _options_are_used(self) -> Self:
        refuse_unused(self, self.variant, OPTIONS, f"to {self.variant}")
        return self

    def looks(self, encode: Encoder) -> Look:
        """Return that another model's word is wanted, but of the losses that need none."""
        against = None if self.variant in FREE else self.against
        return Look(policy=against == "cycle", anchor=against == "start")

    def loss(self, policy: Scores, rows: Rows, examples: Sequence[Pair]) -> tuple[Tensor, Metrics]:
        """Return (P,) losses of the family, and how the policy took the pairs."""
        import torch

        from ..losses.policy import mean, total

        means = mean(policy.logp, rows.mask)
        per = mean if self.normalised or self.variant in MEANS else total
        logp = per(policy.logp, rows.mask)
        other = rows.old if self.against == "cycle" else rows.anchor
        held = None if self.variant in FREE else other  # a guard may have asked the anchor
        ratio = logp if held is None else logp - per(held, rows.mask)
        chosen, rejected = ratio.chunk(2)
        sure = [e.probability if self.soft else 1.0 for e in examples]
        probability = torch.tensor(sure, device=logp.device) * (1 - 2 * self.noise) + self.noise
        loss = self._loss(chosen, rejected, probability)
        if self.sft:
            loss = loss - self.sft * means.chunk(2)[0]
        lead = (chosen - rejected).detach()
        return loss, {
            "preferred": (lead > 0).float(),
            "margin": self.beta * lead,
            "chosen_reward": self.beta * chosen.detach(),
            "rejected_reward": self.beta * rejected.detach(),
            "chosen_logp": means.chunk(2)[0].detach(),
            "rejected_logp": means.chunk(2)[1].detach(),
        }

    def _loss(self, chosen: Tensor, rejected: Tensor, probability: Tensor) -> Tensor:
        """Return (P,) the loss of (P,) log-ratios."""
        from ..losses import preference as losses

        beta = self.beta
        match self.variant:
            case "sigmoid":
                return losses.dpo(chosen, rejected, beta=beta, probability=probability)
            case "robust":
                return losses.robust(chosen, rejected, beta=beta, noise=self.noise)
            case "simpo":
                return losses.simpo(chosen, rejected, beta=beta, gamma=self.gamma)
            case "exo":
                return losses.exo(chosen, rejected, beta=beta, noise=self.noise or 1e-3)
            case "sppo":
                return losses.sppo(chosen, rejected, beta=beta, probability=probability)
            case _:
                plain = {
                    "ipo": losses.ipo,
                    "hinge": losses.hinge,
                    "orpo": losses.orpo,
                    "nca": losses.nca,
                    "bco": losses.bco,
                    "apo_zero": losses.apo_zero,
                    "apo_down": losses.apo_down,
                    "discopop": losses.discopop,
                }
                return plain[self.variant](chosen, rejected, beta=beta)
