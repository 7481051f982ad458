"""Model judges beside people: how often they prefer the same, and what that is worth."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from moot.agents.errors import InputError
from moot.agents.population import Agent, Population, Trust
from moot.experiments.analysis.judges import judged, known
from moot.experiments.analysis.rulings import Reply, Ruling
from moot.experiments.yaml.loading import load
from moot.protocols.journal import Metric


def ruled(episode: int, judge: str, score: float | None) -> Ruling:
    """Return what a judge found of the first of an episode's two replies over the second."""
    first, second = (Reply(turn, f"p{turn}", None, 9) for turn in range(2))
    return Ruling(f"e{episode}", judge, "preference", None, first, second, score)


def panel(n: int, *, like: float, people: int = 1, seed: int = 0) -> list[Ruling]:
    """Return rulings of people who agree, and of a judge that prefers what they do so often."""
    rng = random.Random(seed)
    found: list[Ruling] = []
    for i in range(n):
        first = rng.random() < 0.5
        found += [ruled(i, f"anna-{k}", float(first)) for k in range(people)]
        found.append(ruled(i, "model", 0.9 if first == (rng.random() < like) else 0.1))
    return found


def told(
    rulings: list[Ruling], trust: Trust = "people", people: tuple[str, ...] = ("anna-0",)
) -> dict[str, float]:
    return {m.name: m.value for m in judged(rulings, 0, 0, trust, frozenset(people))}


def test_a_judge_weighs_by_how_often_it_prefers_what_people_do() -> None:
    found = told(panel(200, like=0.9))

    assert found["judges/with_people@model"] == pytest.approx(0.9, abs=0.06)
    assert found["judges/trust@model"] == pytest.approx(2 * found["judges/with_people@model"] - 1)
    assert found["judges/trust@anna-0"] == 1
    assert "judges/with_people@anna-0" not in found


def test_one_that_cant_be_told_from_chance_is_not_heard_and_people_always_are() -> None:
    found = told(panel(200, like=0.5))

    assert found["judges/trust@model"] == 0
    assert found["judges/trust@anna-0"] == 1
    assert told(panel(200, like=0.5), "equal")["judges/trust@model"] == 1
    assert told(panel(7, like=1.0))["judges/trust@model"] == 1  # too few tell
    assert "judges/with_people@model" not in told(panel(7, like=1.0))


def test_it_is_told_whatever_judges_are_weighed_by_and_of_nobody_where_no_people_judge() -> None:
    rulings = panel(50, like=1.0)

    for trust in ("labels", "agreement", "equal"):
        assert told(rulings, trust)["judges/with_people@model"] == 1
    assert not any("with_people" in name for name in told(rulings, "labels", ()))


def test_where_people_are_split_there_is_nothing_to_agree_with() -> None:
    split = [
        one if one.judge != "anna-1" else ruled(int(one.episode[1:]), "anna-1", 1 - one.score)
        for one in panel(40, like=1.0, people=2)
        if one.score is not None
    ]
    two = ("anna-0", "anna-1")

    assert "judges/with_people@model" not in told(split, people=two)
    assert told(panel(40, like=1.0, people=2), people=two)["judges/with_people@model"] == 1


def test_an_even_verdict_agrees_by_half_and_an_unread_one_not_at_all() -> None:
    even = [ruled(i, "anna-0", 1.0) for i in range(20)] + [
        ruled(i, "model", 0.5) for i in range(20)
    ]

    assert told(even)["judges/with_people@model"] == 0.5
    unread = [ruled(i, "anna-0", 1.0) for i in range(20)]
    unread += [ruled(i, "model", 1.0 if i < 10 else None) for i in range(20)]
    assert told(unread)["judges/with_people@model"] == 1


def test_what_people_cant_tell_is_not_unreadable() -> None:
    rulings = [replace(ruled(i, "anna-0", None), declined=i < 3) for i in range(4)]

    found = told(rulings)
    assert found["judges/declined@anna-0"] == 0.75
    assert found["judges/unreadable@anna-0"] == 0.25
    assert "judges/declined@anna-0" not in told(rulings, people=())


def test_people_known_to_be_wrong_are_still_heard() -> None:
    def known(turn: int) -> Reply:
        return Reply(turn, f"p{turn}", turn == 0, 9)

    wrong = [
        Ruling(f"e{i}", judge, "preference", None, known(0), known(1), 0.0)
        for i in range(30)
        for judge in ("anna-0", "model")
    ]

    found = told(wrong, "labels")
    assert (found["judges/auc@anna-0"], found["judges/trust@anna-0"]) == (0, 1)
    assert found["judges/trust@model"] == 0


def test_by_people_takes_a_person_who_judges(tmp_path: Path) -> None:
    text = """\
name: x
engines: {main: {kind: simulated}, page: {kind: human}}
population:
  - {name: solver, count: 3, engine: main}
  - {name: judge, role: judge, engine: main}
  - {name: anna, role: ROLE, engine: page}
trust: people
tasks: {kind: simulated, held_out: 2, per_cycle: 4}
protocol: {kind: judged}
"""
    path = tmp_path / "x.yaml"
    path.write_text(text.replace("ROLE", "policy"))
    with pytest.raises(InputError, match=r"x.yaml:7:\d+ trust: no person judges here"):
        load(path)
    path.write_text(text.replace("ROLE", "judge"))
    experiment, _ = load(path)
    assert experiment.persons() == {"anna"}
    hard = "protocol: {kind: judged, judging: {kind: cascade, experts: [anna]}}"
    path.write_text(path.read_text().replace("protocol: {kind: judged}", hard))
    with pytest.raises(InputError, match="trust: people are asked only what"):
        load(path)


def test_people_who_havent_judged_yet_weigh_one_and_others_as_models_do() -> None:
    names = ("anna", "bob", "model", "new")
    people = Population(tuple(Agent(n, "judge", "main") for n in names))
    found = [Metric(0, "judges/trust@model", 0.1), Metric(0, "judges/trust@anna", 1.0)]

    trust = {a.name: a.trust for a in known(people, found, 0, {"anna", "bob"}).agents}
    assert trust == {"anna": 1.0, "bob": 1.0, "model": 0.1, "new": 0.1}
