"""New weights are proven to speak: a swap that did nothing is caught, on purpose."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from moot.agents.embedded.local import Local
from moot.agents.errors import EngineError
from moot.agents.population import Agent, Population
from moot.agents.serving.vllm import VLLM
from moot.agents.task import Task
from moot.agents.types import Completion, Message, Request, Weights
from moot.experiments.cycle.swap import moved, swap, tolerances
from moot.protocols.journal import Journal, Metric
from moot.protocols.verifiers import VERIFIERS
from moot.training.proof import Proof, read, write
from moot.training.settings import Fit

TASK = Task("t", "2 + 2?", "4", VERIFIERS["number"])
PEOPLE = Population((Agent("a", "policy", "main", weights="w"),))


@dataclass
class Server:
    """An engine whose log-probs depend on the version that it holds, if it is honest."""

    takes: bool = True
    moves: float = 0.25
    """How far its log-probs move with each version."""
    weighs: tuple[float, ...] = (-1.0, -2.0)
    """What it makes of a reply that is put into its mouth."""
    says: tuple[int, ...] = (6, 7)
    """The tokens of that reply."""
    versions: dict[str, int] = field(default_factory=dict[str, int])
    asked: list[int] = field(default_factory=list[int])

    async def generate(self, request: Request) -> Completion:
        if request.choices:
            [text] = request.choices
            version = self.versions["w"]
            return Completion(text, "stop", version, 1, 2, 0.0, self.says, self.weighs, (1, 2, 3))
        self.asked.append(request.version)
        version = self.versions.get("w", 0)
        logprob = -1.0 - self.moves * version
        return Completion("4", "stop", version, 1, 1, 0.0, (4,), (logprob,))

    async def load(self, weights: Weights) -> None:
        if self.takes:
            self.versions[weights.name] = weights.version

    async def held(self) -> Mapping[str, int]:
        return self.versions


def proven(server: Server, version: int, journal: Path) -> list[Metric]:
    weights = [Weights("w", version, journal.parent)]
    engines, tolerance = {"main": server}, {"main": 0.1}
    with Journal(journal) as opened:
        return asyncio.run(swap(engines, PEOPLE, weights, opened, TASK, tolerance))


def test_a_swap_is_proven_by_a_canary_that_moved(tmp_path: Path) -> None:
    server = Server()

    assert proven(server, 1, tmp_path / "j") == [Metric(0, "swap/canary_change", 0.25)]
    assert server.asked == [0, 1]
    assert proven(server, 3, tmp_path / "j") == [Metric(2, "swap/canary_change", 0.5)]


def test_an_engine_that_took_nothing_is_caught_by_its_own_word(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="was given version 1 of 'w' and reports none"):
        proven(Server(takes=False), 1, tmp_path / "j")


def test_an_engine_that_says_it_swapped_and_did_not_is_caught_by_the_canary(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="still has the log-probs of version 0"):
        proven(Server(moves=0), 1, tmp_path / "j")


def test_a_restarted_engine_is_proven_again_without_asking_old_versions(tmp_path: Path) -> None:
    proven(Server(), 1, tmp_path / "j")
    fresh = Server()

    assert proven(fresh, 1, tmp_path / "j") == [Metric(0, "swap/canary_change", 0.25)]
    assert fresh.asked == [1]


CHAT = (Message("system", "kind"), Message("user", "2 + 2?"))
PROOF = Proof(CHAT, "so 4", (1, 2, 3), (6, 7), (-1.0, -2.0))


def proved(folder: Path, proof: Proof = PROOF) -> Path:
    """A version's folder with a proof in it; a journal beside it."""
    (folder / "fit/step-000001").mkdir(parents=True)
    write(folder / "fit", proof)
    return folder / "fit/step-000001/j"


def test_a_proof_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = proved(tmp_path).parent

    assert read(folder) == PROOF
    assert read(tmp_path) is None


def test_what_an_engine_makes_of_a_reply_is_the_trainers_own(tmp_path: Path) -> None:
    found = proven(Server(weighs=(-1.06, -1.98)), 1, proved(tmp_path))

    assert [(m.name, round(m.value, 6)) for m in found] == [
        ("swap/canary_change", 0.25),
        ("swap/trainer_gap", 0.04),
    ]


@pytest.mark.parametrize("weighs", [(-1.3, -2.0), (-1.0, float("nan"))])
def test_an_engine_that_took_up_other_weights_is_caught(
    weighs: tuple[float, ...], tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=r"holds other weights, or .*fit\.tolerance: 0\.1"):
        proven(Server(weighs=weighs), 1, proved(tmp_path))


@dataclass
class Two(Server):
    """Two servers, of which the second makes something else of the reply."""

    second: tuple[float, ...] = ()

    async def everywhere(self, request: Request) -> list[Completion]:
        said = await self.generate(request)
        return [said, replace(said, logprobs=self.second) if request.choices else said]


def test_of_several_servers_the_farthest_from_the_trainer_counts(tmp_path: Path) -> None:
    found = proven(Two(second=(-1.06, -1.98)), 1, proved(tmp_path / "near"))

    assert found[1].value == pytest.approx(0.04)
    with pytest.raises(EngineError, match="holds other weights"):
        proven(Two(second=(-1.3, -2.0)), 1, proved(tmp_path / "far"))


def test_weights_that_speak_through_two_engines_are_taken_up_by_both(tmp_path: Path) -> None:
    engines = {"main": Server(weighs=(-1.06, -1.98), moves=0.5), "other": Server()}
    people = Population(tuple(Agent(name, "policy", name, weights="w") for name in engines))
    place = proved(tmp_path).parent

    def taken() -> list[Metric]:
        limits, new = dict.fromkeys(engines, 0.1), [Weights("w", 1, place)]
        with Journal(tmp_path / "j") as journal:
            return asyncio.run(swap(engines, people, new, journal, TASK, limits))

    change, gap = taken()
    assert change == Metric(0, "swap/canary_change", 0.25)  # what moved least
    assert (gap.name, gap.value) == ("swap/trainer_gap", pytest.approx(0.04))  # the farthest
    assert [server.versions for server in engines.values()] == [{"w": 1}] * 2
    engines["main"] = Server(takes=False)
    with pytest.raises(EngineError, match="'main' was given version 1"):
        taken()


@pytest.mark.parametrize(
    ("engine", "fit", "limit"),
    [
        (Local(model="m", dtype="float32"), {"dtype": "float32"}, 0.01),
        (Local(model="m", dtype="bfloat16"), {"dtype": "float32"}, 0.1),
        (Local(model="m", dtype="float32"), {"dtype": "bfloat16"}, 0.1),
        (Local(model="m", device="cpu"), {"device": "cpu"}, 0.01),
        (Local(model="m", device="cuda"), {"dtype": "float32"}, 0.1),
        (VLLM(model="m", url="http://far:8000"), {"dtype": "float32"}, 0.1),
        (VLLM(model="m", url="http://far:8000", dtype="float32"), {"dtype": "float32"}, 0.01),
        (Local(model="m", dtype="bfloat16"), {"tolerance": 0.5}, 0.5),
        (
            Local(model="m", dtype="float32", quantized=True),
            {"dtype": "float32", "quantized": True},
            0.1,
        ),
    ],
)
def test_who_computes_in_32_bits_is_held_to_more(
    engine: Local | VLLM, fit: dict[str, Any], limit: float
) -> None:
    assert tolerances({"main": engine}, Fit(**fit)) == {"main": limit}


def test_an_engine_that_is_near_enough_and_holds_the_version_before_is_caught(
    tmp_path: Path,
) -> None:
    proof = replace(
        PROOF, tokens=(6, 7, 8), logprobs=(-1.0, -2.0, -3.0), before=(-1.05, -1.96, -3.06)
    )
    # .05 off in the mean, which 16 bits would excuse; noise of .003 excuses no more than itself.
    stale = Server(weighs=(-1.053, -1.957, -3.057), says=(6, 7, 8))
    with pytest.raises(EngineError, match="as likely as the version before it did"):
        proven(stale, 1, proved(tmp_path / "stale", proof))

    noisy = Server(weighs=(-0.99, -2.01, -3.02), says=(6, 7, 8))
    assert len(proven(noisy, 1, proved(tmp_path / "noisy", proof))) == 2
    # Two fifths of the way, as far as can be told: what is beside it, (.04, .05, 0), is as far.
    unsure = Server(weighs=(-0.99, -1.926, -3.036), says=(6, 7, 8))
    assert len(proven(unsure, 1, proved(tmp_path / "unsure", proof))) == 2


def test_rounding_of_the_one_word_that_moved_is_no_version_before(tmp_path: Path) -> None:
    # What was seen of an honest engine in float32, of a policy trained in bfloat16.
    proof = replace(
        PROOF,
        tokens=(6, 7, 8, 9),
        logprobs=(-2.24674, -0.06182, -0.01617, -0.04404),
        before=(-2.24874, -0.06191, -0.01606, -0.04396),
    )
    honest = Server(weighs=(-2.25277, -0.06081, -0.01653, -0.04349), says=(6, 7, 8, 9))

    assert len(proven(honest, 1, proved(tmp_path, proof))) == 2


@pytest.mark.parametrize("other", [{"prompt_tokens": (1, 2)}, {"tokens": (6, 8)}])
def test_an_engine_with_another_chat_template_is_caught(
    other: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="reads other tokens than the trainer"):
        proven(Server(), 1, proved(tmp_path, replace(PROOF, **other)))


def test_a_prompt_with_the_date_in_it_is_another_one_on_another_day(tmp_path: Path) -> None:
    proof = replace(PROOF, prompt_tokens=(1, 9), day="2026-02-28")
    folder = proved(tmp_path, proof)
    today = proved(tmp_path / "today", replace(proof, day=str(date.today())))

    assert read(folder.parent) == proof
    assert [m.name for m in proven(Server(), 1, folder)] == ["swap/canary_change"]
    with pytest.raises(EngineError, match="reads other tokens than the trainer"):
        proven(Server(), 1, today)


def said(tokens: tuple[int, ...], logprobs: tuple[float, ...]) -> Completion:
    return Completion("x", "stop", 0, 1, len(tokens), 0.0, tokens, logprobs)


def test_the_canary_is_compared_up_to_the_first_token_that_differs() -> None:
    assert moved(said((1, 2), (-1.0, -2.0)), said((1, 2), (-1.0, -2.5))) == 0.5
    assert moved(said((1, 2), (-1.0, -2.0)), said((1, 3), (-1.0, -2.0))) > 0
    assert moved(said((1, 2), (-1.0, -2.0)), said((1, 3, 4), (-1.0, -2.0, -9.0))) < 1
    assert moved(said((1,), (-1.0,)), said((1,), (-1.0,))) == 0.0
