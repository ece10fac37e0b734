"""Numbers in digits and words."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.tasks.numbers import as_number, numbers_in, plain


@pytest.mark.parametrize(("text", "number"), [
    ("12", "12"), ("twelve", "12"), ("Twenty-one", "21"), ("one hundred and five", "105"), ("two thousand three hundred", "2300"),
    ("1,234,567", "1234567"), ("-3.50", "-3.5"), ("minus four", "-4"), ("hundred", "100"), ("one million", "1000000"), ("7.", "7"),
    ("$5", "5"), ("40%", "40"), ("\u22127", "-7"), ("zero", "0")])
def test_as_number(text: str, number: str) -> None:
    assert as_number(text) == Decimal(number)


@pytest.mark.parametrize(
    "text", ["", "Yes", "12 apples", "(A)", "one two-step", "someone", "1.2.3", "x12", "a dozen", "NaN", "inf"])
def test_what_is_no_number(text: str) -> None:
    assert as_number(text) is None


@pytest.mark.parametrize(("text", "numbers"), [
    ("3-4", [3, 4]), ("(-2,5)", [-2, 5]), ("3 - -4", [3, -4]), ("one of 12", [12]), ("x1 has 5km", [5]),
    ("two cats, one dog", [2, 1]), ("1,2,3", [1, 2, 3]), ("12,345 and 67", [12345, 67])])
def test_numbers_in(text: str, numbers: list[int]) -> None:
    assert numbers_in(text) == numbers


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_plain_is_read_back(number: Decimal) -> None:
    assert as_number(plain(number)) == number
    assert "E" not in plain(number)
