"""What models think of examples before training is what they think of each reply by itself."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from told import learner, pair, rollout, words

from moot.agents.embedded.tokens import Tokens
from moot.training.data.examples import Example, Known, Said
from moot.training.look import by_anchor, by_policy
from moot.training.model.learner import Learner
from moot.training.model.rows import rows

REPLIES = [words(str(n), tuple(range(20, 21 + n)), asked=f"{n % 2}?") for n in range(4)]
ROLLOUTS = [replace(rollout(n, None, ()), said=said) for n, said in enumerate(REPLIES)]
PAIRS = [pair("e0", *REPLIES[:2]), pair("e1", *REPLIES[2:])]


def thinks(pupil: Learner, said: Said, encode: Tokens) -> Known:
    """Return what the policy, as it is, thinks of one reply."""
    with torch.no_grad():
        found = pupil.policy(rows([said], encode))
    nats, certainty = found.entropy.mean().item(), found.certainty.mean().item()
    return Known(logp=tuple(found.logp[0].tolist()), entropy=nats, certainty=certainty)


@pytest.mark.parametrize("examples", [ROLLOUTS, PAIRS])
@pytest.mark.parametrize("tokens", [1, 1000])
def test_rows_of_any_length_are_thought_of_as_each_by_itself(
    examples: list[Example], tokens: int, tiny: Path
) -> None:
    encode, pupil, fresh = Tokens(tiny), learner(tiny), learner(tiny)
    with torch.no_grad():
        for parameter in pupil.parameters().values():
            parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(0))

    own = list(by_policy(pupil, examples, encode, tokens))
    seen = [row for one in by_anchor(pupil, own, encode, tokens) for row in one.rows]

    assert [row.text for row in seen] == [row.text for row in REPLIES]
    for row, said in zip(seen, REPLIES, strict=True):
        policy, anchor = thinks(pupil, said, encode), thinks(fresh, said, encode)
        assert row.known.logp == pytest.approx(policy.logp, abs=1e-5)
        assert row.known.anchor == pytest.approx(anchor.logp, abs=1e-5)
        assert row.known.entropy == pytest.approx(policy.entropy, abs=1e-5)
        assert row.known.certainty == pytest.approx(policy.certainty, abs=1e-5)
        assert policy.logp != pytest.approx(anchor.logp, abs=1e-2)
