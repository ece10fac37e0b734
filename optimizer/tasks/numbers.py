"""Numbers in texts: digits ("1,200", "-3.50") and English number words ("twenty-one"). Knows nothing of scoring."""

import re
from decimal import Decimal

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
          "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_VALUES = {**{word: value for value, word in enumerate(_UNITS)}, **{word: 10 * value for value, word in enumerate(_TENS, 2)}}
# A sign counts only where no word or number stands before it: "3-4" is two numbers, not 3 and -4.
_DIGITS = re.compile(r"(?:(?<![\w.)])[-\u2212])?(?<![\w.])(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?", re.ASCII)
_WORD = "|".join([*_VALUES, *_SCALES])
_WORDS = re.compile(rf"\b(?:minus |negative )?(?:{_WORD})(?:(?:[ -]|[ -]and[ -])(?:{_WORD}))*\b", re.IGNORECASE)


def numbers_in(text: str) -> list[Decimal]:
    """The numbers of a text in their order. Number words count only where there are no digits ("one by one: 12" is 12)."""
    digits = [_from_digits(found[0]) for found in _DIGITS.finditer(text)]
    return digits or [_from_words(found[0]) for found in _WORDS.finditer(text)]


def as_number(text: str) -> Decimal | None:
    """The number that the whole text is, or None."""
    bare = text.strip().rstrip(".").lstrip("$+").rstrip("%")
    if _DIGITS.fullmatch(bare):
        return _from_digits(bare)
    return _from_words(bare) if _WORDS.fullmatch(bare) else None


def plain(number: Decimal) -> str:
    """As people write it: 3.0 is "3", and there is no exponent."""
    whole, _, part = f"{number:f}".partition(".")
    return f"{whole}.{part.rstrip('0')}" if part.rstrip("0") else whole


def _from_digits(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("\u2212", "-"))


def _from_words(text: str) -> Decimal:
    """Adds up as they are spoken: units and tens, times hundred; closed by thousand or million."""
    total = group = 0
    for word in re.split(r"[ -]", text.lower()):
        if word == "hundred":
            group = max(1, group) * 100
        elif word in _SCALES:
            total, group = total + max(1, group) * _SCALES[word], 0
        else:
            group += _VALUES.get(word, 0)
    sign = -1 if text.lower().startswith(("minus", "negative")) else 1
    return Decimal(sign * (total + group))
