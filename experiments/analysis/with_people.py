"""How often a judge prefers what people prefer, of the pairs that both judged."""

from collections.abc import Iterator, Mapping, Sequence, Set
from statistics import fmean

from .claims import Claim
from .stats import Interval, mean_by_unit


def with_people(
    pairs: Mapping[str, Sequence[Claim]], people: Set[str], seed: int
) -> dict[str, Interval]:
    """Return how often each judge that is no person agrees with people, by its name.

    Of several people the mean counts; where they are split there is nothing to agree with.  A judge
    that finds two replies even agrees by half.  It is the mean over tasks, from 8 on.

    Args:
        pairs: each judge's claims about one reply over another.
        people: those judges that are persons.
        seed: of the bootstrap, whose units are tasks.
    """
    said: dict[tuple[str, int, int | None], list[float]] = {}
    for claim in (c for name in people for c in pairs.get(name, ())):
        said.setdefault(claim.about, []).append(claim.score)
    liked = {about: fmean(scores) > 0.5 for about, scores in said.items() if fmean(scores) != 0.5}

    def agreed(judge: str) -> Iterator[tuple[str, float]]:
        for claim in pairs[judge]:
            if claim.about in liked:
                alike = (claim.score > 0.5) == liked[claim.about]
                yield claim.task, 0.5 if claim.score == 0.5 else float(alike)

    found = {j: mean_by_unit(agreed(j), seed, (0, 1)) for j in pairs if j not in people}
    return {judge: interval for judge, interval in found.items() if interval is not None}
