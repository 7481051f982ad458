import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moot.protocols.verifiers import VERIFIERS

CHEAP = ("exact", "number", "choice")

NUMBERS = {
    "7": "7",
    "The sum of 3 and 4 is 7.": "7",
    "3 + 4 = 7": "7",
    "1,234": "1234",
    "1,234,567.50 in all": "1234567.5",
    "1,2": "2",
    "-3": "-3",
    "−3": "-3",
    "it is -3.": "-3",
    "7-3": "3",
    "x-3": "3",
    "(2)-3": "3",
    "+5": "5",
    "3.0": "3",
    "-0": "0",
    "-0.50": "-0.5",
    ".5": "0.5",
    "$5.": "5",
    "-$5": "-5",
    "5€": "5",
    "12 apples": "12",
    "5cm": "5",
    "50%": "50",
    "1e3": "1000",
    "2.5e-2": "0.025",
    "1/2": "0.5",
    "-1/3": "-1/3",
    "2/6": "1/3",
    "on 1/2/2020": "2020",
    "007": "7",
    "**42**": "42",
    "\\boxed{42}": "42",
    "The answer is...5": "5",
    "0.1": "0.1",
    "Total apples:\n- 42": "42",
    "The answer – 42": "42",
    "12 - 4": "4",
    "x = - 4": "-4",
    "(- 4)": "-4",
    "- 5": "-5",
    "\\boxed{- 5}": "-5",
    "<answer>- 5</answer>": "-5",
    "$- 5$": "-5",
    "The answer is - 5": "-5",
    "Answer: - 5": "-5",
    "- \\frac{1}{2}": "-0.5",
    "\\frac{1}{2}3": "3",
    "In 2020 1/3 of them": "1/3",
    "<answer>\\boxed{5}, since \\sqrt{25}=5</answer>": "5",
    "12\\,345": "12345",
    "\\boxed{\\frac{3}{4}}": "0.75",
    "So \\boxed{5} is wrong. \\boxed{\\frac{3}{4}}": "0.75",
    "-\\frac{1}{3}": "-1/3",
    "2\\frac{1}{2}": "2.5",
    "\\dfrac34": "0.75",
    "\\boxed{\\frac{\\sqrt{3}}{2}}": None,
    "\\boxed{\\text{12 apples}}": "12",
    "3 1/2": "3.5",
    "-3 1/2": "-3.5",
    "2 3/2": "1.5",
    "1 000": "1000",
    "12\u202f345": "12345",
    "11,\\! 111": "11111",
    "10 200": "200",
    "1/0": None,
    "": None,
    "seven": None,
    "H2O": None,
    "It is 5 on the H100": "5",
    "x23": None,
    "The answer is 12 (Qwen25)": "12",
    "5 of COVID19": "5",
    "\\boxed{1{,}234}": "1234",
    "so \\boxed{25}. I checked 3 times.": "25",
    "<answer>42</answer> (3 checks)": "42",
    "-x2 is -7": "-7",
    "9" * 5000: None,
    "1e999": None,
    "٣": None,
    "²": None,
}

CHOICES = {
    "B": "B",
    "b": "B",
    "(b)": "B",
    "B.": "B",
    "B) Paris": "B",
    "**C**": "C",
    "Answer: C": "C",
    "answer: c": "C",
    "the answer is D.": "D",
    "The answer is (D) because A is too small": "D",
    "The answer is A because it is": "A",
    "The correct answer is: B, since A is not.": "B",
    "Answer: A. No, wait. Answer: B": "B",
    "Final answer: \\boxed{E}": "E",
    "\\boxed{\\text{E}}": "E",
    "A) 3\nB) 4\nSo \\boxed{B}": "B",
    "Both A and C look right. <answer>B</answer>": "B",
    "<answer>The answer is (c)</answer>": "C",
    "<answer>A or B</answer>": None,
    "\\boxed{A or B}": None,
    "\\boxed{A, B}": None,
    "the value is \\boxed{E=mc^2}, the answer is B": "B",
    "\\boxed{a^2} hence option C": "C",
    "The answer is C, not \\boxed{B}": "C",
    "\\boxed{(d)}": "D",
    "so \\boxed{B. Paris}": "B",
    "so \\boxed{\\textbf{(C)} 12}": "C",
    "I choose option (c).": "C",
    "I choose option c": "C",
    "The answer B is right, not C.": "B",
    "The answer a student gave": None,
    "The answer is in D minor": "D",
    "The answer is d minor": None,
    "A": "A",
    "A or B": None,
    "Answer: A or B": None,
    "Answer: (A) and (B)": None,
    "A cat sat": None,
    "The answer is a cat": None,
    "The answer is A cat": None,
    "Both B and C are right": None,
    "The correct answer is (C). Option A is wrong because it is small. Option B is wrong too.": "C",
    "The answer is A. Option B is incorrect.": "A",
    "The answer is B, not option C": "B",
    "I chose option A, not option B.": "A",
    "I take option A. Or option B?": None,
    "The answer is not B.": None,
    "It isn't B": None,
    "(a) is wrong, so (b)": "B",
    "Option B is also wrong.": None,
    "I don't know": None,
    "Z": None,
    "": None,
}

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
    "$1/0$": None,
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


@pytest.mark.parametrize(("text", "answer"), NUMBERS.items())
def test_the_last_number_is_the_answer(text: str, answer: str | None) -> None:
    assert VERIFIERS["number"].read(text) == answer


@pytest.mark.parametrize(("text", "answer"), CHOICES.items())
def test_a_letter_is_chosen_or_nothing_is(text: str, answer: str | None) -> None:
    assert VERIFIERS["choice"].read(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    {
        "Paris": "paris",
        "  The  Hague.\n": "the hague",
        '"Paris"': "paris",
        "I thought long. The answer is **Paris**.": "paris",
        "Answer: Rome. No. Answer: Paris": "paris",
        "<answer>Rome</answer> or rather <answer> Paris </answer>, I think": "paris",
        "...": None,
        "": None,
        "Answer:": None,
    }.items(),
)
def test_text_is_the_answer_whatever_its_case_and_spacing(text: str, answer: str | None) -> None:
    assert VERIFIERS["exact"].read(text) == answer


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


def test_what_slips_through_is_ended_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moot.protocols.mathematics.SECONDS", 1e-4)

    assert VERIFIERS["math"].read("$(x+1)^{9}$") is None
    monkeypatch.undo()
    assert VERIFIERS["math"].read("$(x+1)^{2}$") == "$x^{2} + 2 x + 1$"


def test_mathematics_is_read_in_any_thread() -> None:
    read: list[str | None] = []
    thread = threading.Thread(target=lambda: read.append(VERIFIERS["math"].read(r"\boxed{3/6}")))

    thread.start()
    thread.join()

    assert read == ["1/2"]


@pytest.mark.parametrize(
    ("name", "answer", "expected", "score"),
    [
        ("number", "7", "7.00", 1.0),
        ("number", "7", "$7", 1.0),
        ("number", "7", "8", 0.0),
        ("number", "7", "none", 0.0),
        ("exact", "paris", "Paris.", 1.0),
        ("exact", "paris", "Rome", 0.0),
        ("choice", "B", "(b)", 1.0),
        ("choice", "B", "C", 0.0),
        ("math", "1/2", r"$\frac{2}{4}$", 1.0),
        ("math", r"$2 \sqrt{2}$", r"$\sqrt{8}$", 1.0),
        ("math", "1/3", "1/2", 0.0),
        ("math", r"$50\%$", "50", 1.0),
        ("math", r"$50\%$", "0.5", 1.0),
        ("math", "50", r"50\%", 1.0),
        ("math", r"$50\%$", "5", 0.0),
        ("math", "1/3", "nothing", 0.0),
        ("math", r"$\left\{1, 2\right\}$", r"$\{2,1\}$", 1.0),
    ],
)
def test_an_answer_is_right_or_wrong(name: str, answer: str, expected: str, score: float) -> None:
    assert VERIFIERS[name].score(answer, expected) == score


@pytest.mark.parametrize("name", CHEAP)
@given(
    text=st.text()
    | st.text("0123456789-−+,./eE $%")
    | st.text("ABabc ().:isanwer</>\"'\n*", max_size=60)
)
def test_any_text_is_read_and_what_is_read_is_read_the_same(name: str, text: str) -> None:
    verifier = VERIFIERS[name]

    answer = verifier.read(text)

    if answer is not None:
        assert verifier.read(answer) == answer
        assert verifier.score(answer, text) == 1.0


@given(text=st.text() | st.text("0123456789-+^_{}()[]\\xyfracsqrtbinomtext$!,./ ", max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_mathematics_is_read_and_what_is_read_is_read_the_same(text: str) -> None:
    for shape in (text, f"${text}$", rf"\boxed{{{text}}}"):
        answer = VERIFIERS["math"].read(shape)

        assert answer is None or VERIFIERS["math"].read(answer) == answer


@given(numerator=st.integers(-(10**30), 10**30), denominator=st.integers(1, 10**30))
def test_a_number_keeps_its_value(numerator: int, denominator: int) -> None:
    from fractions import Fraction

    read = VERIFIERS["number"].read

    assert Fraction(read(f"it is {numerator}/{denominator}") or "") == Fraction(
        numerator, denominator
    )
    assert read(f"{numerator:,}") == str(numerator)


def test_every_verifier_has_its_name() -> None:
    assert list(VERIFIERS) == ["exact", "number", "math", "choice"]
