"""Numbers in digits and words."""

import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.graders.reading.numbers import as_number, number_given, numbers_in, plain


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", "12"),
        ("twelve", "12"),
        ("Twenty-one", "21"),
        ("one hundred and five", "105"),
        ("two thousand three hundred", "2300"),
        ("1,234,567", "1234567"),
        ("-3.50", "-3.5"),
        ("minus four", "-4"),
        ("hundred", "100"),
        ("one million", "1000000"),
        ("7.", "7"),
        ("$5", "5"),
        ("40%", "40"),
        ("\u22127", "-7"),
        ("zero", "0"),
    ],
)
def test_as_number(text: str, number: str) -> None:
    assert as_number(text) == Fraction(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes",
        "12 apples",
        "(A)",
        "one two-step",
        "someone",
        "1.2.3",
        "x12",
        "a dozen",
        "NaN",
        "inf",
    ],
)
def test_what_is_no_number(text: str) -> None:
    assert as_number(text) is None


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3-4", [3, 4]),
        ("(-2,5)", [-2, 5]),
        ("3 - -4", [3, -4]),
        ("one of 12", [12]),
        ("x1 has 5km", [5]),
        ("two cats, one dog", [2, 1]),
        ("1,2,3", [1, 2, 3]),
        ("12,345 and 67", [12345, 67]),
    ],
)
def test_numbers_in(text: str, numbers: list[int]) -> None:
    assert numbers_in(text) == numbers


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9
    )
)
def test_plain_is_read_back(number: Decimal) -> None:
    assert as_number(plain(Fraction(number))) == Fraction(number)
    assert "E" not in plain(Fraction(number))


@given(st.fractions(max_denominator=10**4))
def test_every_fraction_is_read_back(number: Fraction) -> None:
    assert as_number(plain(number)) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("minus 2", "-2"),
        ("\u20132", "-2"),
        ("-$2", "-2"),
        ("$-2", "-2"),
        (".05", "1/20"),
        ("2e-7", "2e-7"),
        ("2 x 10^6", "2000000"),
        ("2\u00d710\u2076", "2000000"),
        ("$2 \\times 10^{6}$", "2000000"),
        ("10^6", "1000000"),
        ("2 million", "2000000"),
        ("\u20ac3.5bn", "3500000000"),
        ("2\u202f000", "2000"),
        ("$2{,}000$", "2000"),
        ("0,5", "1/2"),
        ("3/4", "3/4"),
        ("$\\frac{3}{4}$", "3/4"),
        ("1\u00bd", "3/2"),
        ("1 3/4", "7/4"),
        ("\uff11\uff11", "11"),
        ("\u0663", "3"),
        ("two thirds", "2/3"),
        ("three and a half", "7/2"),
        ("three point one four", "3.14"),
        ("two billion", "2000000000"),
    ],
)
def test_a_number_is_read_whole(text: str, number: str) -> None:
    assert as_number(text) == Fraction(number)
    assert numbers_in(f"so it is {text} of them") == [Fraction(number)] or text == "0,5"


@pytest.mark.parametrize(
    "text",
    [
        "12:30",
        "1.2.3",
        "2024-02-29",
        "1/2/2024",
        "1e400",
        "1/0",
        "one two",
        "nineteen eighty four",
        "9" * 5000,
        "12345678901234567890^300",
        "0^-1",
        "hundred hundred",
        "hundred " * 3000,
    ],
)
def test_digits_that_are_no_number_are_none(text: str) -> None:
    assert numbers_in(text) == []
    assert as_number(text) is None


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("12 apples (3 kinds)", 12),
        ("5 + 7 = 12", 12),
        ("12 = 5 + 7", 12),
        ("0,5", Fraction(1, 2)),
        ("about 12 km", 12),
        ("5 or 7", None),
        ("5-7", None),
        ("5 to 7 days", None),
        ("5, 7", None),
        ("5 and 7", None),
        ("none", None),
    ],
)
def test_a_line_gives_one_number(line: str, number: Fraction | None) -> None:
    assert number_given(line) == number


@pytest.mark.parametrize(
    "part",
    [
        "1",
        "-1,",
        "1 ",
        "1/",
        "one ",
        "$ ",
        "minus ",
        "1:",
        "1,111",
        "one-",
        "1.",
        "2 x 10^",
        "twenty and ",
    ],
)
def test_a_long_text_takes_time_with_its_length(part: str) -> None:
    started = time.process_time()
    numbers_in(part * (20_000 // len(part)))
    assert time.process_time() - started < 1


@given(st.text("0123456789.,/^*eE+-x $%kM", max_size=60), st.integers(1, 400))
def test_whatever_is_read_can_be_written(unit: str, times: int) -> None:
    """A number of more than 4,300 digits cannot be, in Python."""
    for number in numbers_in((unit * times)[:20_000]):
        plain(number)
