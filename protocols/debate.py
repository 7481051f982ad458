"""Debate: answer alone, hear the others, answer again (Du et al., arXiv:2305.14325).

All speak at once in a round.  An agent sees its own part of the conversation, as a chat, and of the
others what the topology lets through (sparse: Li et al., arXiv:2406.11776; summarised: the critic
sums up each answer that is to be heard as a summary).  Left out: Du et al. let an agent that is
alone check its own answer (see reflection.py); here who hears nobody keeps what it said.  Debate is
a martingale where updates are unbiased (arXiv:2508.17536): its answer is therefore always set
beside the vote of the first answers.
"""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Literal, Self

from pydantic import Field, model_validator

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Settings

from .asking import Wishes
from .consensus import VOTED, concluded
from .fence import exchange, fenced, filled
from .sample import answers
from .topology import DRAWN, Edge, Full, Sees, Topology
from .types import Say, Script, Signal, Turn

REVISE = """\
These are answers of others to the same question:

{others}

Some may be wrong, and so may yours. Weigh them against your own, then answer the question \
again, in the form that it asks for."""

SUMMARISE = """\
Question: {question}

{answer}

Sum this answer up in a few words: its reasoning, and what it concludes. Add nothing of your own."""

UNREADABLE = "(no answer can be read)"


class Debate(Settings):
    """Policies answer, hear others and answer again; their last answers vote."""

    kind: Literal["debate"] = "debate"
    rounds: int = Field(default=2, ge=1, le=100)
    """How often each policy answers; the first time it has heard nobody."""
    topology: Topology = Full()
    """Who hears whom."""
    redraw: Literal["never", "episode", "round"] = "never"
    """How often a random topology is drawn anew."""
    sees: Sees = "anonymous"
    """What is shown of others' replies, where the topology doesn't say it for an edge."""
    topology_seed: int = 0
    """The seed of a random topology."""
    until_agreed: bool = False
    """Whether the debate ends as soon as all readable answers of a round are the same."""
    prompt: str = Field(default=REVISE, pattern=r"\{others\}")
    """What is asked after the first round; {others} stands for the replies that are heard."""

    @model_validator(mode="after")
    def _what_is_drawn_is_drawn_anew(self) -> Self:
        if not isinstance(self.topology, DRAWN):
            where = f"with topology: {self.topology.kind}, in which nothing is drawn"
            self.refuse("redraw", "topology_seed", where=where)
        return self

    @property
    def yields(self) -> frozenset[Signal]:
        """What the vote after the debate gives."""
        return VOTED

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one debate."""
        policies = people.playing("policy")
        first = yield answers(task, people, 1)
        standing = dict(enumerate(first))
        chats = {i: exchange(task.prompt, turn) for i, turn in standing.items()}
        seen = {i: {turn.index} for i, turn in standing.items()}
        turns, held = [*first], 1
        while held < self.rounds and not (self.until_agreed and _agreed(standing.values())):
            heard = _by_listener(self._edges(policies, held, task))
            summaries = yield from self._summaries(task, people, heard.values(), standing)
            wishes: dict[int, Say] = {}
            for i, edges in heard.items():
                drawn = task.shuffled(edges, "heard", held, i)  # many lean to what they read first
                text, shown = self._ask(drawn, standing, summaries)
                seen[i].update(shown)
                wishes[i] = Say(policies[i], text, tuple(sorted(seen[i])), chats[i])
            said = yield list(wishes.values())
            for (i, wish), turn in zip(wishes.items(), said, strict=True):
                standing[i] = turn
                chats[i] += exchange(wish.text, turn)
                seen[i].add(turn.index)
            turns += said
            held += 1
        return concluded(task, first, list(standing.values()), turns, rounds=float(held))

    def _summaries(
        self,
        task: Task,
        people: Population,
        heard: Iterable[Sequence[Edge]],
        standing: Mapping[int, Turn],
    ) -> Wishes[dict[int, Turn]]:
        """Return the critic's summary of each answer that someone is to hear as one."""
        due = sorted({e.speaker for edges in heard for e in edges if self._shows(e) == "summary"})
        if not due:
            return {}
        critic = people.playing("critic")[0]
        said = yield [
            Say(
                critic,
                filled(SUMMARISE, question=task.prompt, answer=fenced("answer", turn.text, 1)),
                (turn.index,),
            )
            for turn in (standing[speaker] for speaker in due)
        ]
        return dict(zip(due, said, strict=True))

    def _ask(
        self, edges: Sequence[Edge], standing: Mapping[int, Turn], summaries: Mapping[int, Turn]
    ) -> tuple[str, list[int]]:
        """Return what a policy is asked after the first round, and the turns it is shown in it."""
        shown: list[str] = []
        heard: list[int] = []
        for number, edge in enumerate(edges, 1):
            turn = standing[edge.speaker]
            match self._shows(edge):
                case "named":
                    shown.append(fenced("answer", turn.text, number, turn.agent.name))
                case "anonymous":
                    shown.append(fenced("answer", turn.text, number))
                case "answer":
                    shown.append(fenced("answer", turn.answer or UNREADABLE, number))
                case "summary":
                    turn = summaries[edge.speaker]
                    shown.append(fenced("summary", turn.text, number))
            heard.append(turn.index)
        return filled(self.prompt, others="\n".join(shown)), heard

    def _shows(self, edge: Edge) -> Sees:
        return edge.sees or self.sees

    def _edges(self, policies: Sequence[Agent], number: int, task: Task | None) -> list[Edge]:
        """Return who hears whom in a round of a task's episode; `None`: of any."""
        words = ("topology", self.topology_seed, *([number] if self.redraw == "round" else []))
        if task is None or self.redraw == "never":
            rng = Random("/".join(map(str, words)))
        else:
            rng = task.drawing(*words)
        return self.topology.drawn([policy.name for policy in policies], rng)

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        policies = people.playing("policy")
        edges = self._edges(policies, 1, None)
        most = dict.fromkeys(policies, self.rounds)
        if self.redraw == "never":
            hearing = {edge.listener for edge in edges}
            most = {p: self.rounds if i in hearing else 1 for i, p in enumerate(policies)}
        summed = {edge.speaker for edge in edges if self._shows(edge) == "summary"}
        each = len(summed)
        if self.redraw != "never" and (summed or self.sees == "summary"):
            each = len(policies)  # another draw may have edges where this one has none
        if not each:
            return most
        return {**most, people.playing("critic")[0]: each * (self.rounds - 1)}


def _by_listener(edges: Sequence[Edge]) -> dict[int, list[Edge]]:
    heard: dict[int, list[Edge]] = {}
    for edge in edges:
        heard.setdefault(edge.listener, []).append(edge)
    return heard


def _agreed(turns: Iterable[Turn]) -> bool:
    """Return whether there are readable answers, and all of them the same."""
    return len({turn.answer for turn in turns} - {None}) == 1
