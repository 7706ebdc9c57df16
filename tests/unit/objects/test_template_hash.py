from __future__ import annotations

from msgspec.structs import replace

from agent.objects.container import Container
from agent.objects.deployment import template_hash
from agent.objects.meta import ObjectMeta
from agent.objects.pod import PodSpec, PodTemplateSpec

TEMPLATE = PodTemplateSpec(metadata=ObjectMeta(labels={"a": "1", "b": "2"}), spec=PodSpec(containers=(Container(name="web"),)))


def test_the_hash_never_changes_between_versions() -> None:
    """Another value here would replace every pod of every Deployment when the agent is upgraded."""
    assert template_hash(TEMPLATE) == "qtvgnsrwzm"


def test_the_order_of_labels_makes_no_difference() -> None:
    assert template_hash(replace(TEMPLATE, metadata=ObjectMeta(labels={"b": "2", "a": "1"}))) == template_hash(TEMPLATE)


def test_a_changed_template_has_another_hash() -> None:
    changed = replace(TEMPLATE, spec=PodSpec(containers=(Container(name="web", image="nginx"),)))
    assert template_hash(changed) != template_hash(TEMPLATE)
