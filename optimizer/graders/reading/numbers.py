"""Numbers in texts: digits in many notations, and English number words.

Notations are "-$1,200.50", "3/4", "2 x 10^6", "2 million" and more. A number is read whole or not
at all: surroundings of the digits that are not understood ("12:30", "1.2.3", "2024-02-29") make it
no number, instead of leaving a part of it that happens to look like one. Knows nothing of scoring.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_UNITS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SUFFIXES = {"k": 1000, "K": 1000, "M": 10**6, "B": 10**9, "bn": 10**9, "dozen": 12}
_VALUES = {
    **{word: value for value, word in enumerate(_UNITS)},
    **{word: 10 * value for value, word in enumerate(_TENS, 2)},
}
_PARTS = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "hundredth": 100,
    "thousandth": 1000,
}
MOST_DIGITS = 1000
"""A longer row of digits is no answer, and Python takes time with the square of its length to
read it [ours].
"""
MOST_EXPONENT = 300
"""A larger exponent is no answer, and would take for ever to write out [ours]."""

_PLAIN = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_POWER = r"\s?(?:\^|\*\*)\s?\{?(?P<%s>[-+]?[0-9]{1,4})\}?"
_SCALE_WORD = "|".join([*_SCALES, "dozen"])
# A sign counts only where no word or number stands before it: "3-4" is two numbers, not 3 and -4.
# Each part of the pattern begins with a character of its own, so that no text can be shared out
# among them in more than a few ways.
_DIGITS = re.compile(
    r"(?:(?P<minus>(?:(?<![\w.)^])-|\b(?:minus|negative)\s)\s?)|(?<![\w.^]))"
    r"(?:[$€£¥₹]\s?(?P<inner>-)?)?"
    rf"(?:(?P<whole>[0-9]{{1,9}})\s(?=[0-9]{{1,9}}/[0-9]))?(?<![\w.])(?P<plain>{_PLAIN})"
    r"(?:"
    r"(?P<odd>(?::[0-9]+)+|(?:/[0-9.]+){2,}|(?:-[0-9]+){2,}|(?:\.[0-9]+)+)"
    r"|[eE](?P<exponent>[-+]?[0-9]{1,4})(?![\w.])"
    rf"|\s?[x*]\s?10{_POWER % 'tens'}"
    rf"|{_POWER % 'power'}"
    r"|\s?/\s?(?P<below>[0-9]+(?:\.[0-9]+)?)(?![\w/])"
    rf"|[\s-]?(?P<scale>{_SCALE_WORD})s?\b"
    r"|(?P<suffix>[kKMB]|bn)\b"
    r")?",
    re.ASCII | re.IGNORECASE,
)
_WORD = "|".join([*_VALUES, *_SCALES])
_WORDS = re.compile(
    rf"\b(?:minus |negative )?(?P<count>(?:{_WORD})(?:(?:[ -]|[ -]and[ -])(?:{_WORD}))*)"
    rf"(?:[ -](?P<part>{'|'.join(_PARTS)})s?\b| point(?P<decimals>(?: "
    rf"(?:{'|'.join(_UNITS[:10])})\b)+)|(?P<half> and a half\b))?"
    r"(?!\w)",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"\s?(?:,|-|\u2013|\bor\b|\bto\b|\band\b)\s?")
"""Text between the numbers of a list, a range or a choice."""
_DECIMAL_COMMA = re.compile(r"-?(?:[0-9]+,[0-9]{1,2}|0,[0-9]+)")
_DASHES = str.maketrans(
    {
        "\u2212": "-",
        "\uff0d": "-",
        "\ufe63": "-",
        "\u00d7": "x",
        "\u00b7": "*",
        "\u22c5": "*",
        "\u2044": "/",
    }
)
_SUPERSCRIPTS = {
    ord(sign): plain for sign, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True)
}
_FRACTION_SIGNS = re.compile("(?P<sign>[\u00bc-\u00be\u2150-\u215e])")


@dataclass(frozen=True)
class _Found:
    value: Fraction | None
    """The number; None for digits that are no number."""
    start: int
    end: int


def numbers_in(text: str) -> list[Fraction]:
    """Return the numbers of a text in their order.

    Number words count only where there are no digits ("one by one: 12" is 12).
    """
    return [found.value for found in _found_in(_normalized(text)) if found.value is not None]


def as_number(text: str) -> Fraction | None:
    """Return the number that the whole text is, or None.

    A comma before one or two digits is a decimal comma here ("0,5").
    """
    bare = _normalized(text).strip().strip("$").strip().rstrip(".").lstrip("+").rstrip("%").rstrip()
    if _DECIMAL_COMMA.fullmatch(bare):
        return Fraction(bare.replace(",", "."))
    if found := _DIGITS.fullmatch(bare):
        unit = found["suffix"] and found["suffix"] not in _SUFFIXES
        return None if unit else _from_digits(found)
    found = _WORDS.fullmatch(bare)
    return _from_words(found) if found else None


def number_given(line: str) -> Fraction | None:
    """Return the one number that a line gives as an answer.

    It is the whole line, the result of its calculation, or its first number. It is None where there
    is none, or where the first is one of several on offer ("5 or 7", "5-7", "5, 7").
    """
    if (whole := as_number(line)) is not None:
        return whole
    text = _normalized(line)
    result = list(_found_in(text.rpartition("=")[2]))
    if "=" in text and len(result) == 1:
        return result[0].value
    found = list(_found_in(text))
    # A list or a range is no answer, even where its first number is right.
    if not found or (len(found) > 1 and _SEVERAL.fullmatch(text[found[0].end : found[1].start])):
        return None
    return found[0].value


def number_concluded(sentence: str) -> Fraction | None:
    """Return the last number of a sentence.

    It is None where there is none, or where the last two are a range or a choice ("5 or 7").
    """
    text = _normalized(sentence)
    found = list(_found_in(text))
    if not found or (len(found) > 1 and _SEVERAL.fullmatch(text[found[-2].end : found[-1].start])):
        return None
    return found[-1].value


def plain(number: Fraction) -> str:
    """Return a number as people write it: "3", "-0.25", and "1/3" where no decimal ends."""
    below, places = number.denominator, 0
    while below % 10 == 0:
        below, places = below // 10, places + 1
    for prime in (2, 5):
        while below % prime == 0:
            below, places = below // prime, places + 1
    if below != 1:
        return f"{number.numerator}/{number.denominator}"
    digits = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
    whole, part = (digits[:-places], digits[-places:].rstrip("0")) if places else (digits, "")
    return ("-" if number < 0 else "") + whole + (f".{part}" if part else "")


def _found_in(text: str) -> Iterator[_Found]:
    digits = [_Found(_from_digits(found), *found.span()) for found in _DIGITS.finditer(text)]
    return iter(
        digits or [_Found(_from_words(found), *found.span()) for found in _WORDS.finditer(text)]
    )


def _normalized(text: str) -> str:
    """Return the text with the notations of numbers in plain characters.

    These are the digits of all scripts, dashes, fractions, powers and LaTeX.
    """
    if not text.isascii():
        text = _FRACTION_SIGNS.sub(lambda found: _as_ratio(found["sign"]), text)
        text = re.sub(
            r"(?<=[0-9])[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+",
            lambda found: "^" + found[0].translate(_SUPERSCRIPTS),
            text,
        )
        text = "".join(str(unicodedata.decimal(char, char)) for char in text).translate(_DASHES)
        text = re.sub(
            r"(?<=[0-9])[\u202f\u00a0\u2009](?=[0-9]{3}(?![0-9]))", "", text
        )  # groups of three
        text = re.sub(
            r"(?<![\w.)])[\u2010-\u2015](?=[0-9.$€£¥₹])", "-", text
        )  # a dash before a number is its sign
    if "\\" in text or "{" in text:
        text = re.sub(
            r"\\[dt]?frac\s?\{([0-9]{1,9})\}\s?\{([0-9]{1,9})\}", r" \1/\2 ", text
        ).replace("{,}", ",")
        text = (
            text.replace("\\times", "x")
            .replace("\\cdot", "*")
            .replace("\\,", "")
            .replace("\\$", "$")
            .replace("\\%", "%")
        )
    return text


def _as_ratio(sign: str) -> str:
    """Return a fraction in one character as two numbers, apart from a whole number before it."""
    ratio = Fraction(unicodedata.numeric(sign)).limit_denominator(10)
    return f" {ratio.numerator}/{ratio.denominator}"


def _from_digits(found: re.Match[str]) -> Fraction | None:
    if found["odd"] or len(found["plain"]) > MOST_DIGITS or len(found["below"] or "") > MOST_DIGITS:
        return None
    value = Fraction(found["plain"].replace(",", ""))
    if found["below"]:
        below = Fraction(found["below"])
        if not below:
            return None
        value = Fraction(found["whole"] or 0) + value / below
    elif exponent := found["exponent"] or found["tens"]:
        value = (
            value * Fraction(10) ** int(exponent)
            if abs(int(exponent)) <= MOST_EXPONENT
            else Fraction(0)
        )
        if not value and found["plain"].strip("0.,"):
            return None
    elif found["power"]:
        power = int(found["power"])
        if abs(power) * len(found["plain"]) > MOST_DIGITS or (not value and power < 0):
            return None
        value = value**power
    elif scale := found["scale"]:
        value *= _SCALES.get(scale.lower()) or _SUFFIXES[scale.lower()]
    elif found["suffix"] in _SUFFIXES:
        # Only suffixes with one meaning count: "5m" may be metres, and "5b" a flat.
        value *= _SUFFIXES[found["suffix"]]
    return -value if found["minus"] or found["inner"] else value


def _from_words(found: re.Match[str]) -> Fraction | None:
    """Return the value of number words.

    Units and tens add up, times hundred; thousand or million closes a group.
    """
    spoken = _spoken(found["count"])
    if spoken is None:
        return None
    value = Fraction(spoken)
    if found["part"]:
        value /= _PARTS[found["part"].lower()]
    elif found["decimals"]:
        value += Fraction(
            "0." + "".join(str(_VALUES[word]) for word in found["decimals"].lower().split())
        )
    elif found["half"]:
        value += Fraction(1, 2)
    return -value if found[0].lower().startswith(("minus", "negative")) else value


def _spoken(words: str) -> int | None:
    """Return the value, or None where the words are several numbers in a row ("one two")."""
    total = group = 0
    for word in re.split(r"[ -]", words.lower()):
        if word == "and":
            continue
        if word == "hundred":
            if group >= 100:
                return None
            group = max(1, group) * 100
        elif word in _SCALES:
            total, group = total + max(1, group) * _SCALES[word], 0
        else:
            room = group % 100
            if room and (room < 20 or room % 10 or _VALUES[word] >= 10):
                return None
            group += _VALUES[word]
    return total + group
