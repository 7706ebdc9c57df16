"""A policy that cannot be enforced says so, and stops saying so."""

from __future__ import annotations

from agent.objects.meta import ObjectMeta
from agent.objects.network_policy import NetworkPolicy
from agent.policy.status import with_condition


def test_only_a_change_is_written() -> None:
    policy = NetworkPolicy(metadata=ObjectMeta(name="p", namespace="x"))
    assert with_condition(policy, "") is None
    broken = with_condition(policy, "spec.tier: there is no tier")
    assert isinstance(broken, NetworkPolicy)
    assert [(c.type, c.status, c.message) for c in broken.status.conditions] == [("Enforced", "False", "spec.tier: there is no tier")]
    assert with_condition(broken, "spec.tier: there is no tier") is None
    mended = with_condition(broken, "")
    assert isinstance(mended, NetworkPolicy)
    assert [(c.status, c.message) for c in mended.status.conditions] == [("True", "")]
    assert with_condition(mended, "") is None
