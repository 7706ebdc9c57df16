from __future__ import annotations

import pytest

from agent.objects import names


@pytest.mark.parametrize("name", ["a", "web-1", "0", "a" * 63])
def test_dns_labels(name: str) -> None:
    assert names.dns_label_problem(name) == ""


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a_b", "ä", "a\n", "a" * 64])
def test_what_is_no_dns_label(name: str) -> None:
    assert names.dns_label_problem(name) != ""


def test_a_long_name_is_told_its_length() -> None:
    assert names.dns_label_problem("a" * 70) == f'"{"a" * 70}" is 70 characters long, at most 63 are allowed'


@pytest.mark.parametrize("name", ["a", "a.b-c.d", "1.2.3.4", "a" * 253])
def test_dns_subdomains(name: str) -> None:
    assert names.dns_subdomain_problem(name) == ""


@pytest.mark.parametrize("name", ["", ".a", "a.", "a..b", "A.b", "a/b", "a" * 254])
def test_what_is_no_dns_subdomain(name: str) -> None:
    assert names.dns_subdomain_problem(name) != ""


@pytest.mark.parametrize("key", ["app", "app.kubernetes.io/name", "A_b.c-d", "x" * 63, f"{'d' * 200}.io/{'x' * 63}"])
def test_label_keys(key: str) -> None:
    assert names.label_key_problem(key) == ""


@pytest.mark.parametrize("key", ["", "/a", "a/", "a/b/c", "-a", "Foo.io/a", "a b", "x" * 64, f"{'d' * 254}/a"])
def test_what_is_no_label_key(key: str) -> None:
    assert key in names.label_key_problem(key)
    assert names.label_key_problem(key) != ""


@pytest.mark.parametrize(
    ("value", "is_good"), [("", True), ("1.10", True), ("a_B-c", True), ("a b", False), ("-a", False), ("v" * 64, False)]
)
def test_label_values(value: str, is_good: bool) -> None:
    assert (names.label_value_problem(value) == "") is is_good


@pytest.mark.parametrize(
    ("name", "is_good"), [("http", True), ("h2-c", True), ("80", False), ("a--b", False), ("HTTP", False), ("a" * 16, False)]
)
def test_port_names(name: str, is_good: bool) -> None:
    assert (names.port_name_problem(name) == "") is is_good


@pytest.mark.parametrize(("name", "is_good"), [("PATH", True), ("a.b-c", True), ("", False), ("A=B", False), ("ä", False)])
def test_variable_names(name: str, is_good: bool) -> None:
    assert (names.environment_name_problem(name) == "") is is_good
