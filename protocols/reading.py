"""Reading which of some choices a reply states, where the engine tells no probabilities."""

import re
from collections.abc import Sequence

OPENING = re.compile(
    r"\W*(?:(?:I (?:choose|pick|prefer)|the better)\s+)?"
    r"(?:(?:reply|response|option|number)\b\W*)?",
    re.IGNORECASE,
)
"""What may stand before the choice that a reply begins with."""
MARKED = re.compile(r"(?:answer|choice|verdict|score|rating)\s*(?:is\b|:|=)\s*:?\W*", re.IGNORECASE)
"""What introduces a choice."""
STATED = re.compile(
    r"[*_\"'`)\]]*[^\S\n]*(?:[.!]?[*_\"'`)\]]*\s*(?:\n|\Z)|[,;]|(?:because|since|as)\b"
    r"|is (?:\w+ly |much )?(?:the )?(?:better|best)\b)",
    re.IGNORECASE,
)
"""What comes after a choice that is stated, and not only spoken of."""
PAUSE = re.compile(r"[*_\"'`)\]]*\s*[.:!(]")
"""The same where the choice was introduced, or no other is mentioned: else it may be a list."""
DENIED = re.compile(
    r"n['’o]t\b|\b(?:no|nor|none|neither|never|cannot|wrong|incorrect|worse|worst|less|doubt)\b",
    re.IGNORECASE,
)
"""What may turn a mention into its opposite."""


def named(text: str, choices: Sequence[str], *, cut: bool = False) -> str | None:
    """Return the choice that `text` states; `None`: none, or it isn't clear which.

    The reply begins with it, or the last "answer:" introduces it, unless the two differ, for one of
    them may be quoted; or it ends with the only one that it mentions, and denies nothing.  It isn't
    enough to speak of one: "1 is worse" states nothing.  Letter case doesn't matter, and the 10 in
    "8/10" or "8 out of 10" is no choice.

    Args:
        text: the reply.
        choices: what it may state.
        cut: whether it was cut off; what it would have gone on with isn't known then.
    """
    words = "|".join(re.escape(c) for c in sorted(choices, key=len, reverse=True))
    one = re.compile(rf"(?<![\w./-])(?:{words})(?![\w-]|[.,]\d)", re.IGNORECASE)
    more = re.compile(rf"\W*,\W*(?:{words})\b", re.IGNORECASE)
    by_name = {choice.casefold(): choice for choice in choices}
    if len(choices) > 2:
        text = re.sub(rf"(?:/|\bout of)\s*{re.escape(choices[-1])}\b", "", text)
    text = text.strip()
    mentions = list(one.finditer(text))
    alone = len({by_name.get(found[0].casefold()) for found in mentions}) == 1

    def stated(found: re.Match[str], *, pause: bool) -> bool:
        end = found.end()
        if more.match(text, end) or (cut and end == len(text) and found.start()):
            return False
        return any(after.match(text, end) for after in (STATED, *([PAUSE] if pause else [])))

    ends = [mark.end() for mark in MARKED.finditer(text)]
    opening = OPENING.match(text)
    begun = one.match(text, opening.end() if opening else 0)
    introduced = next((c for end in reversed(ends) if (c := one.match(text, end))), None)
    found = [begun] if begun and stated(begun, pause=alone and not cut) else []
    found += [introduced] if introduced and stated(introduced, pause=True) else []
    if not found and alone and not cut and not DENIED.search(one.sub("", text)):
        found = [last for last in mentions[-1:] if not re.search(r"\w", text[last.end() :])]
    names = {by_name.get(choice[0].casefold()) for choice in found}
    return names.pop() if len(names) == 1 else None
