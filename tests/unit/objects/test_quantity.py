from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.objects.quantity import Quantity


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("1", 10**9),
        ("100m", 10**8),
        (".5", 5 * 10**8),
        ("5.", 5 * 10**9),
        ("+2", 2 * 10**9),
        ("-2", -2 * 10**9),
        ("1e3", 10**12),
        ("1E3", 10**12),
        ("1E", 10**27),
        ("12e-3", 12 * 10**6),
        ("1Ki", 1024 * 10**9),
        ("1.5Gi", 1536 * 2**20 * 10**9),
        ("3n", 3),
        ("128974848", 128974848 * 10**9),
    ],
)
def test_a_quantity_is_read_exactly(text: str, nano: int) -> None:
    assert Quantity.parse(text).nano == nano


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1000m", "1"),
        ("0.2", "200m"),
        ("1500m", "1500m"),
        ("1000", "1k"),
        ("1500", "1500"),
        ("1000000", "1M"),
        ("0Gi", "0"),
        ("0.5Gi", "512Mi"),
        ("1.5Gi", "1536Mi"),
        ("2048Ki", "2Mi"),
        ("0.5Ki", "512"),
        ("1.5Ki", "1536"),
        ("1e3", "1e3"),
        ("1500e-3", "1500e-3"),
        ("100u", "100u"),
        ("-1.5Gi", "-1536Mi"),
    ],
)
def test_a_quantity_is_written_as_kubernetes_writes_it(text: str, canonical: str) -> None:
    assert str(Quantity.parse(text)) == canonical


@pytest.mark.parametrize("text", ["", "Gi", "1x", "1 Gi", "1,5", "1e", "0x10", "1mi", "--1", "1.2.3", "inf", "nan", "٣", "1e999"])
def test_what_is_no_quantity_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a quantity: write a number") as refusal:
        Quantity.parse(text)
    assert f'"{text}"' in str(refusal.value)


def test_a_boolean_is_no_quantity() -> None:
    with pytest.raises(ValueError, match="True"):
        Quantity.parse(True)


def test_numbers_finer_than_nano_are_rounded_away_from_zero() -> None:
    assert Quantity.parse("0.1n").nano == 1
    assert Quantity.parse("-0.1n").nano == -1


def test_units_and_thousandths_are_rounded_up() -> None:
    assert Quantity.parse("1500m").whole == 2
    assert Quantity.parse("100u").milli == 1
    assert Quantity.parse("2").milli == 2000


def test_the_way_of_writing_makes_no_difference_to_the_amount() -> None:
    assert Quantity.parse("1Ki") == Quantity.parse("1024")
    assert len({Quantity.parse("1Ki"), Quantity.parse("1024"), Quantity.parse("1024000m")}) == 1
    assert Quantity.parse("999Mi") < Quantity.parse("1Gi") < Quantity.parse("1.1G")


def test_a_sum_keeps_the_style_of_its_first_part_that_is_not_zero() -> None:
    assert str(Quantity.parse("1Gi") + Quantity.parse("512Mi")) == "1536Mi"
    assert str(Quantity(0) + Quantity.parse("512Mi")) == "512Mi"
    assert str(Quantity.parse("1") - Quantity.parse("250m")) == "750m"


def test_a_quantity_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Quantity(1).nano = 2


_WRITTEN = st.builds(
    lambda number, suffix: f"{number}{suffix}",
    st.decimals(min_value=-(10**6), max_value=10**6, places=3).map(lambda number: f"{number:f}"),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E-2", "e0"]),
)


@given(_WRITTEN)
def test_what_is_written_is_read_back(text: str) -> None:
    quantity = Quantity.parse(text)
    again = Quantity.parse(str(quantity))
    assert again == quantity
    assert str(again) == str(quantity)


@given(_WRITTEN, _WRITTEN)
def test_sums_and_order_are_those_of_exact_numbers(one: str, other: str) -> None:
    a, b = Quantity.parse(one), Quantity.parse(other)
    assert Fraction((a + b).nano) == Fraction(a.nano) + Fraction(b.nano)
    assert (a < b) == (a.nano < b.nano)


@pytest.mark.parametrize("text", ["1e58", "8Ei", "-9223372036854775808"])
def test_an_amount_that_could_not_be_read_back_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too large"):
        Quantity.parse(text)
