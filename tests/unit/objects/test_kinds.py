from __future__ import annotations

import pytest

from agent.errors import InvalidObject
from agent.objects.kinds import KINDS, kind_of_word


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("po", "Pod"),
        ("pods", "Pod"),
        ("Pod", "Pod"),
        ("deployments.apps", "Deployment"),
        ("deploy", "Deployment"),
        ("svc", "Service"),
        ("ing", "Ingress"),
        ("networkpolicies", "NetworkPolicy"),
        ("netpol", "NetworkPolicy"),
        ("networkpolicies.networking.k8s.io", "NetworkPolicy"),
        ("networkpolicies.projectcalico.org", "CalicoNetworkPolicy"),
        ("networkpolicy.p", "CalicoNetworkPolicy"),
        ("caliconetworkpolicies", "CalicoNetworkPolicy"),
        ("cnp", "ClusterNetworkPolicy"),
    ],
)
def test_the_words_for_a_kind(word: str, kind: str) -> None:
    assert kind_of_word(word).kind == kind


def test_a_misspelt_word_gets_a_suggestion() -> None:
    with pytest.raises(InvalidObject, match='unknown kind "deploymets", did you mean "deployments"'):
        kind_of_word("deploymets")


def test_no_word_means_two_kinds() -> None:
    words = [word for info in KINDS.values() for word in set(info.words)]
    assert len(words) == len(set(words))


def test_typed_kinds_know_their_own_type() -> None:
    for info in KINDS.values():
        if info.is_acted_on:
            fields = dict(
                zip(info.type.__struct_fields__[-len(info.type.__struct_defaults__) :], info.type.__struct_defaults__, strict=True)
            )
            assert (fields["kind"], fields["api_version"]) == (info.written, info.api_versions[0])
