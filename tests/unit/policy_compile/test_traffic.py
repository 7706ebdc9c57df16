"""What passes, as a value: lists of rules that mean the same are the same, and "both" allows what each of two allows."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from agent.policy.traffic import (
    ALLOW_ALL,
    DENY_ALL,
    EVERY,
    ICMP,
    TCP,
    UDP,
    Action,
    Condition,
    Entry,
    Span,
    Stage,
    Traffic,
    both,
    complement,
    flatten,
    spans,
)

ASKED = [
    (protocol, source, port) for protocol in (TCP, UDP, ICMP, 47) for source in (0, 1000, 65535) for port in (0, 79, 80, 81, 443, 65535)
]


def allow(**condition: object) -> Entry:
    return Entry(Condition(**condition), Action.ALLOW)  # type: ignore[arg-type]


def stage(*entries: Entry, end: Action = Action.DENY) -> Traffic:
    return flatten((Stage(entries, end),), Action.ALLOW)


WEB = allow(protocol=TCP, destinations=(Span(80, 80),))


def test_it_prints_what_passes() -> None:
    assert str(stage(WEB)) == "tcp 0-79 deny, 80 allow, 81-65535 deny; other deny"
    assert str(stage()) == "other deny"


def test_lists_that_mean_the_same_are_the_same() -> None:
    both_halves = (allow(protocol=TCP, destinations=(Span(0, 99),)), allow(protocol=TCP, destinations=(Span(100, 65535),)))
    assert stage(*both_halves) == stage(allow(protocol=TCP)) == stage(*both_halves[::-1])
    assert stage(allow()) == ALLOW_ALL
    assert stage(allow(protocol=TCP), allow(not_protocol=TCP)) == ALLOW_ALL


def test_the_first_match_decides_and_pass_goes_on_in_the_next_tier() -> None:
    deny = Entry(Condition(protocol=TCP), Action.DENY)
    assert stage(deny, WEB) == stage()
    passed = Stage((Entry(Condition(), Action.PASS), deny), Action.DENY)
    assert flatten((passed, Stage((WEB,), Action.DENY)), Action.ALLOW) == stage(WEB)
    assert flatten((passed,), Action.ALLOW) == ALLOW_ALL


def test_ports_concern_protocols_that_have_them() -> None:
    found = stage(allow(destinations=(Span(80, 80),)))
    assert found.outcome(UDP, 1, 80).is_allowed
    assert not found.outcome(ICMP, 0, 80).is_allowed
    assert not found.outcome(47, 0, 80).is_allowed


def test_a_log_is_remembered_on_the_way() -> None:
    found = stage(Entry(Condition(protocol=UDP), Action.LOG, "seen"), WEB)
    assert found.outcome(UDP, 1, 1).prefixes == ("seen",)
    assert found.outcome(TCP, 1, 80).prefixes == ()


@pytest.mark.parametrize("seed", range(20))
def test_both_allows_what_each_allows(seed: int) -> None:
    random = Random(seed)
    one, other = (stage(*(entry(random) for _ in range(4)), end=random.choice((Action.DENY, Action.PASS))) for _ in range(2))
    middle = both(one, other)
    for asked in ASKED:
        assert middle.outcome(*asked).is_allowed == (one.outcome(*asked).is_allowed and other.outcome(*asked).is_allowed)


def entry(random: Random) -> Entry:
    some = [EVERY, (Span(80, 80),), (Span(0, 80), Span(443, 65535))]
    condition = Condition(
        random.choice((None, TCP, UDP, ICMP)), random.choice((None, TCP)), random.choice((EVERY, (Span(1000, 1000),))), random.choice(some)
    )
    return Entry(condition, random.choice((Action.ALLOW, Action.DENY, Action.PASS)))


def test_spans_are_joined_and_complemented() -> None:
    assert spans([(5, 9), (1, 4), (20, 30), (25, 26)]) == (Span(1, 9), Span(20, 30))
    assert complement((Span(1, 9), Span(20, 65535))) == (Span(0, 0), Span(10, 19))
    assert complement(()) == EVERY
    assert complement(EVERY) == ()
    for span, port in product(complement((Span(80, 80),)), (80,)):
        assert not span.first <= port <= span.last
    assert DENY_ALL != ALLOW_ALL
