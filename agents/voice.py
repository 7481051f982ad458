"""A voice: a model in memory, what it can speak with, and what it says."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from .adapters import Adapters
from .errors import EngineError, Refusal
from .generate import Row, generate
from .pretrained import load
from .tokens import Tokens
from .types import Completion, Device, Number, Request, Weights


class Voice:
    """A transformers model with its tokenizer and adapters; not for several threads at once."""

    def __init__(self, model: Path, dtype: Number, device: Device) -> None:
        """Load the model in the folder `model`."""
        base = load(model, dtype, device)
        self._tokens = Tokens(model, (base.config, base.generation_config))
        self._adapters = Adapters(base.eval())
        self._context: int | None = getattr(
            base.config.get_text_config(), "max_position_embeddings", None
        )

    def speak(
        self, requests: Sequence[Request], unwanted: Sequence[Callable[[], bool]]
    ) -> list[Completion | EngineError]:
        """Return what becomes of each request; all are for the same weights.

        Args:
            requests: at least one.
            unwanted: for each, whether nobody waits for it any more; what it says is then cut.
        """
        rows: list[Row | EngineError] = []
        for request, gone in zip(requests, unwanted, strict=True):
            try:
                rows.append(self._row(request, gone))
            except EngineError as error:
                rows.append(error)
        if going := [row for row in rows if isinstance(row, Row)]:
            weights = requests[0].weights if requests[0].version else None
            generate(self._adapters.speaking(weights), self._tokens, going)
        return [
            _completion(row, request.version) if isinstance(row, Row) else row
            for row, request in zip(rows, requests, strict=True)
        ]

    def load(self, weights: Weights) -> None:
        """Take up `weights` in place of their earlier version."""
        self._adapters.load(weights)

    def held(self) -> dict[str, int]:
        """Return the version held of each weights."""
        return dict(self._adapters.versions)

    def _row(self, request: Request, unwanted: Callable[[], bool]) -> Row:
        held = self._adapters.versions.get(request.weights or "", 0)
        if request.version and request.version != held:
            raise EngineError(
                f"asked for version {request.version} of {request.weights or 'the base model'}, "
                f"holding {f'version {held}' if held else 'only the base model'}"
            )
        prompt = self._tokens.prompt(request.prompt)
        limit = request.sampling.max_tokens
        if self._context is not None:
            limit = min(limit, self._context - len(prompt))
        if limit < 1:
            raise Refusal(
                f"a prompt of {len(prompt)} tokens leaves no room for a reply "
                f"in the model's context of {self._context}"
            )
        return Row(prompt, request.sampling, limit, Random(request.seed), unwanted)


def _completion(row: Row, version: int) -> Completion:
    assert row.finish is not None
    return Completion(
        text=row.text,
        finish=row.finish,
        version=version,
        tokens_in=len(row.prompt),
        tokens_out=len(row.tokens),
        latency_s=0.0,
        tokens=tuple(row.tokens),
        logprobs=tuple(row.logprobs),
        prompt_tokens=row.prompt,
    )
