"""Marks: what sets an answer apart from the text around it, and thousands from each other."""

import re

TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")
SPACED = re.compile(
    r"(?<=[0-9])(?:\{,\}|,\\!\s*|\\[,!]|[\u00a0\u2009\u202f]|[ ](?=0))(?=[0-9]{3}(?![0-9]))"
)
"""What stands before thousands and isn't a comma: LaTeX's, narrow space, space before a zero."""


def tagged(text: str) -> str:
    """Return what the last <answer> tags hold, or all of `text` where there are none."""
    return (TAGGED.findall(text) or [text])[-1]
