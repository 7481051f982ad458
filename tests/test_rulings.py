"""Rulings: what is known of the replies that a judge found something of."""

from pathlib import Path

import pytest
from handmade import write_episodes
from tried import PEOPLE, for_42, sure, tried

from moot.experiments.analysis.rulings import rulings
from moot.protocols.conformance import rehearse
from moot.protocols.judged import Judged
from moot.protocols.judging.pairwise import Pairwise
from moot.protocols.sample import Sample
from moot.protocols.trial import Trial


@pytest.mark.parametrize("reasons", [False, True])
def test_what_cannot_be_read_is_wrong_where_the_answer_is_known(
    reasons: bool, tmp_path: Path
) -> None:
    said = ["42", "?", "41", *["because"] * 9]
    judged = Judged(talk=Sample(), judging=Pairwise(reasons=reasons))
    played = rehearse(
        judged, PEOPLE, lambda turn, say: sure(0.9, 0.1) if say.choices else said[turn]
    )
    write_episodes(tmp_path, 0, [played])

    replies = {one.of.turn: one.of for one in rulings(tmp_path)}
    assert [replies[i].correct for i in range(3)] == [True, False, False]
    assert [replies[i].length for i in range(3)] == [2, 1, 2]


def test_of_what_a_trial_is_about_its_judge_saw_no_length(tmp_path: Path) -> None:
    write_episodes(tmp_path, 0, [tried(Trial(rounds=1), "41", "42", "41", judge=for_42)])

    told = [(one.of.length, one.over and one.over.length) for one in rulings(tmp_path)]
    assert told
    assert set(told) == {(None, None)}
