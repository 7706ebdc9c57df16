from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import InvalidObject
from agent.objects.calico_selector import (
    ALL,
    And,
    Equals,
    Global,
    Has,
    In,
    Not,
    NotEquals,
    NotIn,
    Or,
    Restriction,
    Selector,
    Text,
    has_global,
    in_namespaces,
    parse_selector,
    prefixed,
    restrictions,
)

CANONICAL = [
    ("", "all()"),
    (" \t", "all()"),
    ("all( )", "all()"),
    ("global()", "global()"),
    ("a=='b'", 'a == "b"'),
    ('a != "b"', 'a != "b"'),
    ("""a == '"'""", """a == '"'"""),
    ("""a == "it's" """, """a == "it's\""""),
    ("a in {'z', 'x', 'x', 'y',}", 'a in {"x", "y", "z"}'),
    ("a in{}", "a in {}"),
    ("a notin {'b'}", 'a not in {"b"}'),
    ("a not \t in {'b'}", 'a not in {"b"}'),
    ("a startswith 'b'", 'a starts with "b"'),
    ("a ends  with 'b'", 'a ends with "b"'),
    ("a contains'b'", 'a contains "b"'),
    ("has( a/b.c-d_e )", "has(a/b.c-d_e)"),
    ("has == 'x'", 'has == "x"'),
    ("in in {'not'}", 'in in {"not"}'),
    ("((has(a)))", "has(a)"),
    ("!!!has(a)", "!has(a)"),
    ("!(!has(a))", "has(a)"),
    ("!a == 'b' && c == 'd'", '(!a == "b" && c == "d")'),
    ("has(a) || has(b) && has(c)", "(has(a) || (has(b) && has(c)))"),
    ("(has(a) || has(b)) && has(c)", "((has(a) || has(b)) && has(c))"),
    ("a == '' && b == ''", '(a == "" && b == "")'),
]


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_the_canonical_form(text: str, canonical: str) -> None:
    selector = parse_selector(text)
    assert str(selector) == canonical
    assert parse_selector(canonical) == selector


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("b", "column 2: expected ==, !=, in, not in, contains, starts with or ends with, got the end"),
        ("a b", "column 3: after a label comes"),
        ("b == b", 'column 6: expected a string in quotes, got label "b"'),
        ("b contains b", "column 12: expected a string"),
        ("b starts b", "column 3: after a label"),
        ("a not 'b'", "column 3: after a label"),
        ("'b' == b", "column 1: expected a label"),
        ("a = 'b'", "column 3: after a label"),
        ("!", "column 2: expected a label"),
        ("a == 'b' &", "column 10: '&' is no part"),
        ("a == 'b' |", "column 10: '|' is no part"),
        ("a == 'b' &&", "column 12: expected a label"),
        ("a == 'b' c", 'column 10: expected "&&", "\\|\\|" or the end'),
        ('a in {"", ||', "column 11: expected"),
        ('a in ""', 'column 6: expected "{"'),
        ("a in {'b'", 'column 10: expected "," or "}", got the end'),
        ("a in {,}", "column 7: expected"),
        ('a == "b', "column 6: a string without its closing quote"),
        ("\"b'", "column 1: a string without its closing quote"),
        ("(", "column 2: expected a label"),
        ("(a == 'b'", 'column 10: expected "&&", "\\|\\|" or "\\)", got the end'),
        (")", "column 1: expected a label"),
        ("()", "column 2: expected a label"),
        ("%", "column 1: '%' is no part of a selector"),
        ("a == 'b'\n", "column 9:"),
        ("has()", "column 4: after a label"),
        ("has(a", "column 4: after a label"),
        ("all(a)", "column 4: after a label"),
        ("a" * 513 + " == 'b'", "column 513: after a label"),
        ("(" * 101, "at most 100 groups"),
    ],
)
def test_what_is_refused(text: str, trouble: str) -> None:
    with pytest.raises(InvalidObject, match=trouble.replace("(LABEL)", ".LABEL.")):
        parse_selector(text)


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("a == 'b'", [{"a": "b"}, {"a": "b", "c": "d"}], [{}, {"a": "c"}, {"b": "a"}]),
        ("a != 'b'", [{}, {"a": "c"}, {"c": "b"}], [{"a": "b"}]),
        ("a in {'b', 'c'}", [{"a": "b"}, {"a": "c"}], [{}, {"a": "d"}]),
        ("a not in {'b', 'c'}", [{}, {"a": "d"}], [{"a": "b"}, {"a": "c"}]),
        ("a in {}", [], [{}, {"a": ""}]),
        ("a not in {}", [{}, {"a": ""}], []),
        ("a contains 'bc'", [{"a": "bc"}, {"a": "abcd"}], [{}, {"a": "b c"}, {"bc": "bc"}]),
        ("a starts with 'b'", [{"a": "b"}, {"a": "bc"}], [{}, {"a": "cb"}]),
        ("a ends with 'b'", [{"a": "b"}, {"a": "cb"}], [{}, {"a": "bc"}]),
        ("a contains ''", [{"a": ""}, {"a": "b"}], [{}]),
        ("has(a)", [{"a": ""}], [{}, {"b": "a"}]),
        ("!has(a)", [{}, {"b": "a"}], [{"a": ""}]),
        ("all()", [{}, {"a": "b"}], []),
        ("global()", [{}, {"a": "b"}], []),
        ("!all()", [], [{}, {"a": "b"}]),
        ("!a == 'b' && c == 'd'", [{"c": "d"}], [{"a": "b", "c": "d"}, {}]),
        ("!(a == 'b' && c == 'd')", [{"c": "d"}, {}], [{"a": "b", "c": "d"}]),
        ("has(a) || has(b) && has(c)", [{"a": ""}, {"b": "", "c": ""}], [{"b": ""}, {"c": ""}]),
    ],
)
def test_what_matches(text: str, matching: list[dict[str, str]], others: list[dict[str, str]]) -> None:
    selector = parse_selector(text)
    assert all(selector.matches(labels) for labels in matching)
    assert not any(selector.matches(labels) for labels in others)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("a == 'b'", (Restriction("a", frozenset({"b"})),)),
        ("a in {'b', 'c'}", (Restriction("a", frozenset({"b", "c"})),)),
        ("has(a)", (Restriction("a"),)),
        ("a starts with 'b'", (Restriction("a"),)),
        ("a == 'b' && c != 'd' && has(e)", (Restriction("a", frozenset({"b"})), Restriction("e"))),
        ("a == 'b' || c == 'd'", ()),
        ("a != 'b'", ()),
        ("!has(a)", ()),
        ("all()", ()),
    ],
)
def test_what_an_index_can_use(text: str, needed: tuple[Restriction, ...]) -> None:
    assert restrictions(parse_selector(text)) == needed


def test_a_namespace_selector_has_its_own_meaning_of_all_and_global() -> None:
    everywhere, nowhere = in_namespaces(parse_selector("all()")), in_namespaces(parse_selector("global()"))
    assert str(everywhere) == "has(projectcalico.org/namespace)"
    assert str(nowhere) == "!has(projectcalico.org/namespace)"
    assert str(in_namespaces(parse_selector("!global()"))) == "has(projectcalico.org/namespace)"


def test_labels_can_be_asked_for_under_a_prefix() -> None:
    selector = parse_selector("a == 'b' && !(c in {'d'} || all()) && e contains 'f'")
    assert str(prefixed(selector, "pcns.")) == '(pcns.a == "b" && !(pcns.c in {"d"} || all()) && pcns.e contains "f")'


def test_global_is_found_wherever_it_hides() -> None:
    assert has_global(parse_selector("a == 'b' && !(has(c) || global())"))
    assert not has_global(parse_selector("global == 'b' && a == 'global()'"))


KEYS = st.sampled_from(["a", "b", "in", "has", "x/y.z"])
VALUES = st.sampled_from(["", "a", "b", "ab", "it's", 'say "a"'])
SETS = st.lists(VALUES, max_size=3).map(lambda values: tuple(sorted(set(values))))
LEAVES = st.one_of(
    st.just(ALL),
    st.just(Global()),
    st.builds(Has, KEYS),
    st.builds(Equals, KEYS, VALUES),
    st.builds(NotEquals, KEYS, VALUES),
    st.builds(In, KEYS, SETS),
    st.builds(NotIn, KEYS, SETS),
    st.builds(Text, KEYS, st.sampled_from(["contains", "starts with", "ends with"]), VALUES),
)


def grown(inner: st.SearchStrategy[Selector]) -> st.SearchStrategy[Selector]:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    negated = inner.map(lambda selector: selector.inner if isinstance(selector, Not) else Not(selector))
    return st.one_of(negated, st.builds(And, parts), st.builds(Or, parts))


SELECTORS = st.recursive(LEAVES, grown, max_leaves=8)
LABELS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(SELECTORS)
def test_every_selector_survives_being_printed(selector: Selector) -> None:
    assert parse_selector(str(selector)) == selector


@given(SELECTORS, LABELS)
def test_what_matches_fulfils_the_restrictions(selector: Selector, labels: dict[str, str]) -> None:
    if selector.matches(labels):
        for needed in restrictions(selector):
            assert needed.key in labels
            assert needed.values is None or labels[needed.key] in needed.values


@given(SELECTORS, LABELS)
def test_a_prefix_changes_no_answer(selector: Selector, labels: dict[str, str]) -> None:
    renamed = {f"p.{key}": value for key, value in labels.items()}
    assert prefixed(selector, "p.").matches(renamed) == selector.matches(labels)


@given(st.text(st.sampled_from("ab ()!&|={},'\"hasinot"), max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        selector = parse_selector(text)
    except InvalidObject:
        return
    assert parse_selector(str(selector)) == selector
