"""A voice: a model in memory, what it can speak with, and what it says."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch

from ..choices import Ballot
from ..errors import EngineError, Refusal, in_one_line
from ..self_reward import Reading, read, wanted
from ..types import Completion, Device, Dtype, Request, Weights
from ..weights.pretrained import context, load
from .adapters import Adapters
from .generate import Row, generate
from .plain import alone, apart, plain
from .tokens import Tokens
from .weigh import weigh


class Voice:
    """A transformers model with its tokenizer and adapters; not for several threads at once."""

    def __init__(
        self, model: Path, dtype: Dtype, device: Device, *, quantized: bool = False
    ) -> None:
        """Load the model in the folder `model`."""
        base = load(model, dtype, device, quantized=quantized)
        text = base.config.get_text_config()
        self._tokens = Tokens(model, (text, base.config, base.generation_config))
        self._adapters = Adapters(base.eval())
        self._verdicts: dict[str, Reading | None] = {}
        self._context = context(base)
        _check(base, self._tokens, model)

    def speak(
        self, requests: Sequence[Request], unwanted: Sequence[Callable[[], bool]]
    ) -> list[Completion | EngineError]:
        """Return what becomes of each request; all are for the same weights.

        Args:
            requests: at least one.
            unwanted: for each, whether nobody waits for it any more; what it says is then cut.
        """
        rows: list[Row | Ballot | EngineError] = []
        for request, gone in zip(requests, unwanted, strict=True):
            try:
                self._check(request)
                rows.append(self._ballot(request) if request.choices else self._row(request, gone))
            except EngineError as error:
                rows.append(error)
        weights = requests[0].weights if requests[0].version else None
        if going := [row for row in rows if isinstance(row, Row)]:
            generate(self._adapters.speaking(weights), self._tokens, going)
        if ballots := [row for row in rows if isinstance(row, Ballot)]:
            model = self._adapters.speaking(weights)
            logprobs = weigh(model, [b.prompt for b in ballots], [b.choices for b in ballots])
            for ballot, found in zip(ballots, logprobs, strict=True):
                ballot.logprobs = found
        return [
            row if isinstance(row, EngineError) else _completion(row, request)
            for row, request in zip(rows, requests, strict=True)
        ]

    def load(self, weights: Weights) -> None:
        """Take up `weights` in place of their earlier version."""
        how = read(weights.path)
        self._adapters.load(weights)
        self._verdicts[weights.name] = how

    def held(self) -> dict[str, int]:
        """Return the version held of each weights."""
        return dict(self._adapters.versions)

    def _check(self, request: Request) -> None:
        held = self._adapters.versions.get(request.weights or "", 0)
        if request.version and request.version != held:
            raise EngineError(
                f"asked for version {request.version} of {request.weights or 'the base model'}, "
                f"holding {f'version {held}' if held else 'only the base model'}"
            )

    def _row(self, request: Request, unwanted: Callable[[], bool]) -> Row:
        prompt, room = self._prompt(request, 1)
        limit = min(request.sampling.max_tokens, room)
        return Row(prompt, request.sampling, limit, Random(request.seed), unwanted)

    def _ballot(self, request: Request) -> Ballot:
        how = wanted(request, self._verdicts)
        choices = [tuple(self._tokens.completion(c, ended=False)) for c in request.choices]
        if () in choices:
            empty = request.choices[choices.index(())]
            raise EngineError(f"the choice {empty!r} is no token, so it can't be weighed")
        choices = [(*choice, *(how.after if how else ())) for choice in choices]
        prompt, _ = self._prompt(request, max(map(len, choices)))
        return Ballot(prompt, choices, how)

    def _prompt(self, request: Request, least: int) -> tuple[tuple[int, ...], int]:
        """Return the prompt's tokens and the room that is left, at least `least` tokens."""
        prompt = self._tokens.prompt(request.prompt)
        room = request.sampling.max_tokens if self._context is None else self._context - len(prompt)
        if self._context is not None and room < least:
            raise Refusal(
                f"a prompt of {len(prompt)} tokens leaves no room for a reply "
                f"in the model's context of {self._context}"
            )
        return prompt, room


def _check(base: Any, tokens: Tokens, model: Path) -> None:
    """Raise where rows side by side aren't to the model what each is by itself."""
    (prompt, one), (_, other) = plain(tokens, base)
    rows = [(prompt, one), ((*prompt, *other), one), (prompt, other)]
    wrong = f"{model}: the local engine can't serve this architecture: "
    try:
        own = torch.cat([alone(base, row) for row in rows])
        found = weigh(base, [begin for begin, _ in rows], [[end] for _, end in rows])
    except Exception as error:  # caches of another kind raise what they like
        raise EngineError(f"{wrong}{in_one_line(error)}") from error
    beside = torch.tensor([p for [told] in found for p in told], device=own.device)
    if far := apart(base, beside, own):
        raise EngineError(f"{wrong}rows disturb each other ({far:.2g} nats a token)")


def _completion(row: Row | Ballot, request: Request) -> Completion:
    """Return what became of a request, its latency apart."""
    if isinstance(row, Ballot):
        return row.completion(request)
    assert row.finish is not None
    return Completion(
        text=row.text,
        finish=row.finish,
        version=request.version,
        tokens_in=len(row.prompt),
        tokens_out=len(row.tokens),
        latency_s=0.0,
        tokens=tuple(row.tokens),
        logprobs=tuple(row.logprobs),
        prompt_tokens=row.prompt,
    )
