"""``(words:1.3)``: which parts of a prompt count for more, and which for less."""

from __future__ import annotations

import re

from ornstein.core.errors import UsageError

_NUMBER = re.compile(r"(.*):\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*", re.S)
_LARGEST = 20.0


def weighted(prompt: str) -> list[tuple[str, float]]:
    r"""The pieces of a prompt with their weights: ``"a (red:1.5) fox"`` -> ``[("a ", 1), ("red", 1.5), (" fox", 1)]``.

    Weights within weights multiply. Brackets without a number are text, and so are ``\(`` and ``\)``.

    Raises:
        UsageError: a weight beyond 20, which would leave nothing of the rest.
    """
    letters: list[str] = []
    weights: list[float] = []
    opened: list[int] = []
    i = 0
    while i < len(prompt):
        letter = prompt[i]
        i += 1
        if letter == "\\" and prompt[i : i + 1] in ("(", ")"):
            letter = prompt[i]
            i += 1
        elif letter == "(":
            opened.append(len(letters))
        elif letter == ")" and opened:
            begin = opened.pop()
            found = _NUMBER.fullmatch("".join(letters[begin + 1 :]))
            if found:
                text, number = found[1], float(found[2])
                if not abs(number) <= _LARGEST:
                    raise UsageError(f"the weight {found[2]} of '{text}' is beyond {_LARGEST:g}")
                weights[begin:] = [w * number for w in weights[begin + 1 : begin + 1 + len(text)]]
                letters[begin:] = list(text)
                continue
        letters.append(letter)
        weights.append(1.0)
    pieces: list[tuple[str, float]] = []
    for letter, weight in zip(letters, weights, strict=True):
        if pieces and pieces[-1][1] == weight:
            pieces[-1] = pieces[-1][0] + letter, weight
        else:
            pieces.append((letter, weight))
    return pieces or [("", 1.0)]
