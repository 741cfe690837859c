"""Kubernetes quantities: what is read, what is written, and how a wrong one is explained."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from modules.kit.quantities import (
    CPU_PATTERN,
    MEMORY_PATTERN,
    amount,
    bytes_of,
    cores,
    cpu,
    explain_cpu,
    explain_memory,
    memory,
)


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("2", "2"),
        ("1500m", "1.5"),
        ("0.1", "0.1"),
        (".5", "0.5"),
        ("100u", "0.0001"),
        ("5n", "0.000000005"),
        ("2k", "2000"),
        ("3M", "3000000"),
        ("1G", "1000000000"),
        ("1E", "1000000000000000000"),
        ("1Ei", "1152921504606846976"),
        ("1e3", "1000"),
        ("12E2", "1200"),
        ("-1", "-1"),
        ("1Ki", "1024"),
    ],
)
def test_the_whole_grammar_of_kubernetes_is_read(quantity: str, value: str) -> None:
    assert amount(quantity) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1GB", "1gi", "Gi", "1.5.2", "1e", "one", "1mi", "\u0663", "0x10", "1Gi\n"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Kubernetes quantity"):
        amount(text)


def test_bytes_are_rounded_up_as_kubernetes_does() -> None:
    assert bytes_of("1.5Ki") == 1536
    assert bytes_of("100m") == 1


@pytest.mark.parametrize(
    ("value", "quantity"),
    [
        (Decimal(2), "2"),
        (Decimal("1.5"), "1500m"),
        (Decimal("0.0019"), "1m"),
        (0, "0"),
        (Decimal("0.600"), "600m"),
    ],
)
def test_cores_are_written_shortest_and_rounded_down(value: Decimal | int, quantity: str) -> None:
    assert cpu(value) == quantity


@pytest.mark.parametrize(
    ("value", "quantity"),
    [(2**30, "1Gi"), (1536 * 2**20, "1536Mi"), (2**50, "1Pi"), (1000, "1000"), (0, "0")],
)
def test_bytes_are_written_shortest_and_exactly(value: int, quantity: str) -> None:
    assert memory(value) == quantity
    assert bytes_of(quantity) == value


@pytest.mark.parametrize("text", ["1", "2", "16", "0.5", "0.05", "0.005", "1.25", "500m", "1500m"])
def test_cores_of_a_profile_are_taken(text: str) -> None:
    assert re.search(CPU_PATTERN, text)
    assert cores(text) > 0


@pytest.mark.parametrize(
    "text", ["0", "0m", "0.0", "0.000", "-1", "1.2345", "1.", ".5", "01", "1k", "2 ", "1e3", "1.5m"]
)
def test_other_spellings_of_cores_are_refused(text: str) -> None:
    assert not re.search(CPU_PATTERN, text)


@pytest.mark.parametrize(
    "text", ["0Gi", "1", "1G", "1.5Gi", "1 Gi", "1gi", "1GiB", "-1Gi", "01Gi", "1Ei", "1m"]
)
def test_other_spellings_of_bytes_are_refused(text: str) -> None:
    assert not re.search(MEMORY_PATTERN, text)


@pytest.mark.parametrize("value", ["4 cores", 4, "250 millicores", "1.23456", "0.5 cpu", "2vCPU", 0.5])
def test_the_spelling_that_is_told_for_cores_is_one_that_is_taken(value: object) -> None:
    written = re.search(r'write "([^"]+)"', explain_cpu(value)[1])
    assert written, explain_cpu(value)
    assert re.search(CPU_PATTERN, written.group(1))


@pytest.mark.parametrize(
    "value", ["16GB", "16 GiB", "16G", "1.5Gi", "2.5 TB", "512M", "8gi", "100kb", "007Gi"]
)
def test_the_spelling_that_is_told_for_bytes_is_one_that_is_taken(value: object) -> None:
    written = re.search(r"write (\S+)$", explain_memory(value)[1])
    assert written, explain_memory(value)
    assert re.search(MEMORY_PATTERN, written.group(1))


@pytest.mark.parametrize(
    "value", [None, True, "", "much", [], {}, "-", "0", -1, "\u0661\u0662Gi", "1" * 5000]
)
def test_whatever_it_is_it_is_explained(value: object) -> None:
    assert all(explain_cpu(value))
    assert all(explain_memory(value))
