"""The verifier of mathematics: how expressions are read, and which are not begun."""

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moot.protocols.verifiers import VERIFIERS

MATHEMATICS = {
    "7": "7",
    "so the answer is $7$.": "7",
    r"\boxed{\frac{1}{2}}": "1/2",
    "0.5": "1/2",
    "50%": r"$50\%$",
    r"\boxed{12.5\%}": r"$12.5\%$",
    "$200%$": r"$200\%$",
    "0": "0",
    "7 - 3 is what I mean, so 4": "4",
    "5 or 7": "7",
    "(b) 5": "5",
    "2 (3)": "2",
    r"12\,345": "12345",
    "<answer>5</answer> (9 checks)": "5",
    "−7 it is: $−7$": "-7",
    r"First 12, then 13, so \boxed{25}. I checked 3 times.": "25",
    "$x = 5$": "5",
    "1,234": "1234",
    r"$90^\circ$": "90",
    r"$\log_2 8$": "3",
    r"\boxed{\text{yes}}": r"$\text{yes}$",
    "no idea": None,
    "I think long. " * 400 + r"\boxed{7}": "7",
    r"\boxed{5}. The final answer is $7$.": "5",
    "it is −7": "-7",
    "$–7$": "-7",
    "$x$": "$x$",
    "$2x = 6$": "$2 x = 6$",
    "3x = 12": "12",
    "$1/0$": None,
    r"$\frac{x}{0}$": None,
    r"5 \pm": None,
    "": None,
}

SAME = [
    ("$2(x+1)$", "$2x + 2$"),
    (r"$\sqrt{8}$", r"\boxed{2\sqrt{2}}"),
    (r"$\{1, 2\}$", r"$\{2, 1\}$"),
    ("$ab + ac$", "$a(b + c)$"),
]

KNOWN = [
    r"3\sqrt{13}",
    "6 - 5i",
    "1,-2",
    "2k",
    r"\frac 59",
    "y = 2x + 3",
    "x = 5",
    r"10\%",
    "3, 5, 7",
    "3R^2",
    r"2\pi",
    r"\left( 3, \frac{\pi}{2} \right)",
    r"(-\infty,2)\cup(3,\infty)",
    r"\begin{pmatrix} -1/3 \\ 2/3 \\ 5/3 \end{pmatrix}",
    r"\sqrt{51}",
    r"\dfrac{9}{7}",
    "(6,31,-1)",
    "[-2,7]",
    "(3,4]",
    r"\text{Evelyn}",
    r"\$18.90",
    r"\$32,\!348",
    r"12\text{ cm}",
    r"18^\circ",
    "1,234",
    "-50",
    "0.35",
]
"""As the answers of MATH are written: without dollars."""

ENDLESS = [
    r"$\frac{1}{(a+b+c+d)^{60}}$",
    r"$\frac{1}{(1+x+y+z)^{50}}$",
    r"$\sqrt{(x+y+z)^{400}}$",
    r"\boxed{\frac{1}{(1+x)^{300}}}",
    "$(a+b+c)^{-100}$",
    r"$(\sqrt{x+y})^{999}$",
    "$1000!^{1000}$",
    r"$\sin((x+y+z)^{200})$",
    "$9^{9^{9^9}}$",
    "$100000000!$",
    "$2^{1000000000}$",
    r"$\binom{1000000}{500000}$",
    r"$\sum_{i=1}^{1000000000} i^i$",
    "$(x+y+z)^{999}$",
    "$" + "(" * 500 + "1" + ")" * 500 + "$",
    "$" + "(a+b)^{9}(c+d)^{9}(e+f)^{9}(g+h)^{9}" * 5 + "$",
    "9**9**9**9",
]


@pytest.mark.parametrize(("text", "answer"), MATHEMATICS.items())
def test_an_expression_is_read_in_its_normal_form(text: str, answer: str | None) -> None:
    assert VERIFIERS["math"].read(text) == answer


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_expressions_vote_together(one: str, other: str) -> None:
    read = VERIFIERS["math"].read

    assert read(one) == read(other) is not None


@pytest.mark.parametrize("known", KNOWN)
def test_a_known_answer_is_read_whole_as_a_boxed_one_is(known: str) -> None:
    verifier = VERIFIERS["math"]

    answer = verifier.read(rf"So it is $\boxed{{{known}}}$.")

    assert answer is not None
    assert verifier.read(known) == answer
    assert verifier.score(answer, known) == 1.0
    for part in ("2", "3", "7", "9", "13", "59", "5/3"):
        assert verifier.score(part, known) == 0.0


@pytest.mark.parametrize("text", ENDLESS)
def test_what_would_take_for_ever_is_not_begun(text: str) -> None:
    verifier = VERIFIERS["math"]

    answer = verifier.read(text)

    assert answer is None or verifier.score(answer, "5") == 0.0


def test_what_has_many_terms_is_not_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr("moot.protocols.mathematics._worked_out", begun.append)

    for text in ("$(x+y+z)^{999}$", "$(a+b+c)^{-100}$", r"$\sin((x+y+z)^{200})$"):
        assert VERIFIERS["math"].read(text) is None
    assert not begun
    VERIFIERS["math"].read("$(x+1)^{9}$")
    assert begun


def test_what_slips_through_is_ended_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(text: str) -> str:
        while True:
            pass

    # What takes long hangs on what sympy remembers: 70 ms at first, less than a clock's tick then.
    monkeypatch.setattr("moot.protocols.mathematics._settled", never)
    monkeypatch.setattr("moot.protocols.mathematics.SECONDS", 1e-2)

    assert VERIFIERS["math"].read("$(x+1)^{9}$") is None
    monkeypatch.undo()
    assert VERIFIERS["math"].read("$(x+1)^{2}$") == "$x^{2} + 2 x + 1$"


def test_mathematics_is_read_in_any_thread() -> None:
    read: list[str | None] = []
    thread = threading.Thread(target=lambda: read.append(VERIFIERS["math"].read(r"\boxed{3/6}")))

    thread.start()
    thread.join()

    assert read == ["1/2"]


@given(text=st.text() | st.text("0123456789-+^_{}()[]\\xyfracsqrtbinomtext$!,./ ", max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_mathematics_is_read_and_what_is_read_is_read_the_same(text: str) -> None:
    for shape in (text, f"${text}$", rf"\boxed{{{text}}}"):
        answer = VERIFIERS["math"].read(shape)

        assert answer is None or VERIFIERS["math"].read(answer) == answer
