"""What can go wrong while agents speak.

MootError            a clear line for the user; anything else is a bug of ours
├── InputError       what the user wrote is wrong: nothing was begun
├── Unverified       a verifier raised an error: its episode fails, no other does
└── EngineError      an engine refused or broke for good: the run stops
    ├── Fault        an engine stumbled: worth another try
    │   ├── Overload   it was asked too much at once: worth another try with fewer at a time
    │   │   └── TimedOut   no answer came in time, and what was done for it is lost
    │   └── Unusable   its answer is of no use, and may have cost: worth a few tries
    ├── Missing      what was named isn't there
    ├── Denied       a server doesn't let us in (401)
    │   └── Forbidden  nor says whether it is us or this very request (403)
    ├── Gone         a server of an engine's is lost for good
    └── Refusal      an engine won't answer this very request: its episode fails, no other does
"""

import difflib
from collections.abc import Iterable


class MootError(Exception):
    """Something the user can mend; `str()` of it is the whole message, in one line."""


class InputError(MootError):
    """An experiment file or an argument is wrong; all that is wrong with it, a line each."""


class Unverified(MootError):
    """A verifier raised an error about an answer."""


class EngineError(MootError):
    """An engine can't do what was asked, and asking again won't help."""


class Fault(EngineError):
    """An engine failed in a way that may pass (5xx, 429, a timeout, a lost connection).

    Args:
        message: what happened, in one line.
        retry_after: seconds that the engine asked us to wait, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overload(Fault):
    """An engine was asked too much at once (429, 503)."""


class TimedOut(Overload):
    """No answer came in time, and it isn't known that nothing was done: what was done is lost."""


class Unusable(Fault):
    """An engine gave a whole answer of a form that nothing can be made of."""


class Missing(EngineError):
    """An engine hasn't got what was named (404): a model, an adapter, a path."""


class Denied(EngineError):
    """A server doesn't let us in: it wants a key, or another one."""


class Forbidden(Denied):
    """A server forbids it (403), for our key or, where it is moderated, for what was asked."""


class Gone(EngineError):
    """A server died, and won't be started again."""


class Refusal(EngineError):
    """An engine is well and won't answer this request: too long, filtered, or never of use."""


def in_one_line(error: BaseException) -> str:
    """Return what another library's error says, in one line that is not too long."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 300 else f"{words[:299]}…"


def with_type(error: BaseException) -> str:
    """Return the same behind the error's type, for one whose words alone may say too little."""
    return f"{type(error).__name__}: {in_one_line(error)}"


def near(name: str, known: Iterable[str], *, show: bool = True) -> str:
    """Return `; did you mean 'x'?`, or what there is where nothing comes near.

    Letter case doesn't matter.
    """
    options = sorted(known)
    folded, named = {option.casefold(): option for option in options}, name.casefold()
    begun = [option for option in folded if name and option.startswith(named)]
    if close := difflib.get_close_matches(named, folded, n=1) or begun:
        return f"; did you mean '{folded[close[0]]}'?"
    return f"; there are {', '.join(options)}" if show and options else ""
