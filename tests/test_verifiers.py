import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.protocols.verifiers import VERIFIERS

CHEAP = ("exact", "number", "choice")

NUMBERS = {
    "12 cm^2": "12",
    r"\boxed{12\text{ cm}^2}": "12",
    r"It falls at 9.8 m/s^{2}.": "9.8",
    "4 s^-1": "4",
    r"\boxed{3\times 10^5}": None,
    "so it is 3 x 10^{5}": None,
    "2^5 = 32": "32",
    "x^2 = 9, so x = 3": "3",
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
    "\\sqrt{25} = 5": "5",
    "1/00": None,
    "3 2/2": "1",
    "−0.5": "-0.5",
    "it is –3": "-3",
    "1,2345": "2345",
    "1e5x": "1",
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
    "\\boxed{A}. No, \\boxed{B}": "B",
    "I take option A or B": None,
    "C rather than B": "C",
    "Never B. It is C": "C",
    "B was wrong, so C": "C",
    "B seems wrong, so C": "C",
    "B is false, so C": "C",
    "<answer>b</answer>": "B",
    "so (c)": "C",
    "I don't know": None,
    "Z": None,
    "": None,
}


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
        ("math", r"$\left(5, \infty\right)$", "$x > 5$", 1.0),
        ("math", "$x > 5$", r"$(5, \infty)$", 0.0),  # which may be meant as a point
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


@given(numerator=st.integers(-(10**30), 10**30), denominator=st.integers(1, 10**30))
def test_a_number_keeps_its_value(numerator: int, denominator: int) -> None:
    from fractions import Fraction

    read = VERIFIERS["number"].read

    assert Fraction(read(f"it is {numerator}/{denominator}") or "") == Fraction(
        numerator, denominator
    )
    assert read(f"{numerator:,}") == str(numerator)
