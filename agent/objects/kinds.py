"""Every kind the agent can hold, and the words by which people name it.

A kind is typed as soon as something acts on it. The others are stored as Opaque, so that any ordinary
manifest can be applied as a whole, with a warning for what has no effect. Two API groups may write the same kind:
then one of them has another name inside the agent, and `networkpolicies.projectcalico.org` names it by its group.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.errors import InvalidObject
from agent.objects.attachment import Attachment
from agent.objects.calico.policy import CALICO_VERSIONS, CalicoNetworkPolicy, GlobalNetworkPolicy
from agent.objects.calico.sets import GlobalNetworkSet, NetworkSet
from agent.objects.calico.tier import Profile, Tier
from agent.objects.cluster_network_policy import ClusterNetworkPolicy
from agent.objects.config_data import ConfigMap, Secret
from agent.objects.deployment import Deployment
from agent.objects.meta import Object
from agent.objects.namespace import Namespace
from agent.objects.network_policy import NetworkPolicy
from agent.objects.node import Node
from agent.objects.opaque import Opaque
from agent.objects.persistent_volume import PersistentVolume
from agent.objects.persistent_volume_claim import PersistentVolumeClaim
from agent.objects.pod import Pod
from agent.objects.storage import StoragePool, StorageSnapshot, StorageVolume
from agent.objects.storage_class import StorageClass, VolumeAttributesClass


@dataclass(frozen=True, slots=True)
class KindInfo:
    """`is_internal`: the agent's own record, which users cannot apply. `alias`: its kind in manifests, where that differs.

    `is_all_or_nothing`: an object that cannot be understood whole must not be acted on in part, see unreadable.py.
    """

    kind: str
    plural: str
    short_names: tuple[str, ...]
    api_versions: tuple[str, ...]
    namespaced: bool
    type: type[Object]
    is_internal: bool = False
    alias: str = ""
    is_all_or_nothing: bool = False

    @property
    def written(self) -> str:
        """The kind in manifests."""
        return self.alias or self.kind

    @property
    def singular(self) -> str:
        return self.written.lower()

    @property
    def is_acted_on(self) -> bool:
        return self.type is not Opaque

    @property
    def words(self) -> tuple[str, ...]:
        """Every word a command line may use for it without naming the group."""
        return (self.plural, self.singular, *self.short_names) if not self.alias else (self.kind.lower(), *self.short_names)

    def is_in_group(self, group: str) -> bool:
        """Whether one of its groups begins so: "apps", "projectcalico.org", "p"."""
        return any(version.startswith(group) for version in self.api_versions if "/" in version)


def _calico(type_: type[Object], plural: str, short_names: str = "", *, namespaced: bool = False, alias: str = "") -> KindInfo:
    names = tuple(short_names.split())
    return KindInfo(type_.__name__, plural, names, CALICO_VERSIONS, namespaced, type_, alias=alias, is_all_or_nothing=True)


_POLICIES = (
    KindInfo("NetworkPolicy", "networkpolicies", ("netpol",), ("networking.k8s.io/v1",), True, NetworkPolicy, is_all_or_nothing=True),
    KindInfo(
        "ClusterNetworkPolicy",
        "clusternetworkpolicies",
        ("cnp",),
        ("policy.networking.k8s.io/v1alpha2",),
        False,
        ClusterNetworkPolicy,
        is_all_or_nothing=True,
    ),
    _calico(CalicoNetworkPolicy, "networkpolicies", "caliconetworkpolicies", namespaced=True, alias="NetworkPolicy"),
    _calico(GlobalNetworkPolicy, "globalnetworkpolicies", "gnp cgnp"),
    _calico(Tier, "tiers"),
    _calico(NetworkSet, "networksets", "netsets", namespaced=True),
    _calico(GlobalNetworkSet, "globalnetworksets"),
    _calico(Profile, "profiles"),
)

_ACTED_ON = (
    KindInfo("Namespace", "namespaces", ("ns",), ("v1",), False, Namespace),
    KindInfo("Node", "nodes", ("no",), ("v1",), False, Node),
    KindInfo("Pod", "pods", ("po",), ("v1",), True, Pod),
    KindInfo("ConfigMap", "configmaps", ("cm",), ("v1",), True, ConfigMap),
    KindInfo("Secret", "secrets", (), ("v1",), True, Secret),
    KindInfo("Deployment", "deployments", ("deploy",), ("apps/v1",), True, Deployment),
    KindInfo("PersistentVolumeClaim", "persistentvolumeclaims", ("pvc",), ("v1",), True, PersistentVolumeClaim),
    KindInfo("PersistentVolume", "persistentvolumes", ("pv",), ("v1",), False, PersistentVolume),
    KindInfo("StorageClass", "storageclasses", ("sc",), ("storage.k8s.io/v1",), False, StorageClass),
    KindInfo("VolumeAttributesClass", "volumeattributesclasses", ("vac",), ("storage.k8s.io/v1",), False, VolumeAttributesClass),
    *_POLICIES,
    KindInfo("StoragePool", "storagepools", (), ("podwright.io/v1",), False, StoragePool, is_internal=True),
    KindInfo("StorageVolume", "storagevolumes", (), ("podwright.io/v1",), False, StorageVolume, is_internal=True),
    KindInfo("StorageSnapshot", "storagesnapshots", (), ("podwright.io/v1",), False, StorageSnapshot, is_internal=True),
    KindInfo("Attachment", "attachments", (), ("podwright.io/v1",), False, Attachment, is_internal=True),
)

# kind, plural, short names, API versions
_KEPT_IN_NAMESPACES = (
    ("CSIStorageCapacity", "csistoragecapacities", "", "storage.k8s.io/v1"),
    ("ControllerRevision", "controllerrevisions", "", "apps/v1"),
    ("CronJob", "cronjobs", "cj", "batch/v1"),
    ("DaemonSet", "daemonsets", "ds", "apps/v1"),
    ("Endpoints", "endpoints", "ep", "v1"),
    ("EndpointSlice", "endpointslices", "", "discovery.k8s.io/v1"),
    ("Event", "events", "ev", "v1 events.k8s.io/v1"),
    ("HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "autoscaling/v2 autoscaling/v1"),
    ("Ingress", "ingresses", "ing", "networking.k8s.io/v1"),
    ("Job", "jobs", "", "batch/v1"),
    ("Lease", "leases", "", "coordination.k8s.io/v1"),
    ("LimitRange", "limitranges", "limits", "v1"),
    ("PodDisruptionBudget", "poddisruptionbudgets", "pdb", "policy/v1"),
    ("PodTemplate", "podtemplates", "", "v1"),
    ("ReplicaSet", "replicasets", "rs", "apps/v1"),
    ("ReplicationController", "replicationcontrollers", "rc", "v1"),
    ("ResourceClaim", "resourceclaims", "", "resource.k8s.io/v1"),
    ("ResourceClaimTemplate", "resourceclaimtemplates", "", "resource.k8s.io/v1"),
    ("ResourceQuota", "resourcequotas", "quota", "v1"),
    ("Role", "roles", "", "rbac.authorization.k8s.io/v1"),
    ("RoleBinding", "rolebindings", "", "rbac.authorization.k8s.io/v1"),
    ("Service", "services", "svc", "v1"),
    ("ServiceAccount", "serviceaccounts", "sa", "v1"),
    ("StatefulSet", "statefulsets", "sts", "apps/v1"),
    ("VolumeSnapshot", "volumesnapshots", "vs", "snapshot.storage.k8s.io/v1"),
)
_KEPT_CLUSTER_WIDE = (
    ("APIService", "apiservices", "", "apiregistration.k8s.io/v1"),
    ("CertificateSigningRequest", "certificatesigningrequests", "csr", "certificates.k8s.io/v1"),
    ("ClusterRole", "clusterroles", "", "rbac.authorization.k8s.io/v1"),
    ("ClusterRoleBinding", "clusterrolebindings", "", "rbac.authorization.k8s.io/v1"),
    ("CSIDriver", "csidrivers", "", "storage.k8s.io/v1"),
    ("CSINode", "csinodes", "", "storage.k8s.io/v1"),
    ("CustomResourceDefinition", "customresourcedefinitions", "crd crds", "apiextensions.k8s.io/v1"),
    ("DeviceClass", "deviceclasses", "", "resource.k8s.io/v1"),
    ("FlowSchema", "flowschemas", "", "flowcontrol.apiserver.k8s.io/v1"),
    ("IngressClass", "ingressclasses", "", "networking.k8s.io/v1"),
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "", "admissionregistration.k8s.io/v1"),
    ("PriorityLevelConfiguration", "prioritylevelconfigurations", "", "flowcontrol.apiserver.k8s.io/v1"),
    ("PriorityClass", "priorityclasses", "pc", "scheduling.k8s.io/v1"),
    ("RuntimeClass", "runtimeclasses", "", "node.k8s.io/v1"),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "", "admissionregistration.k8s.io/v1"),
    ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "", "admissionregistration.k8s.io/v1"),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "", "admissionregistration.k8s.io/v1"),
    ("VolumeAttachment", "volumeattachments", "", "storage.k8s.io/v1"),
    ("VolumeSnapshotContent", "volumesnapshotcontents", "vsc", "snapshot.storage.k8s.io/v1"),
    ("VolumeSnapshotClass", "volumesnapshotclasses", "vsclass", "snapshot.storage.k8s.io/v1"),
)


def _kept(kind: str, plural: str, short_names: str, api_versions: str, namespaced: bool) -> KindInfo:
    return KindInfo(kind, plural, tuple(short_names.split()), tuple(api_versions.split()), namespaced, Opaque)


_TABLE = (
    *_ACTED_ON,
    *(_kept(*row, True) for row in _KEPT_IN_NAMESPACES),
    *(_kept(*row, False) for row in _KEPT_CLUSTER_WIDE),
)

KINDS: Mapping[str, KindInfo] = MappingProxyType({info.kind: info for info in _TABLE})
_BY_WORD = {word: info for info in _TABLE for word in info.words}


def kinds_written(kind: str) -> tuple[KindInfo, ...]:
    """The kinds that manifests call so, one for each group that has it."""
    return tuple(info for info in _TABLE if info.written == kind)


def kind_of_word(word: str) -> KindInfo:
    """The kind a person means by "po", "pods", "Pod", "deployments.apps". Raises InvalidObject with a suggestion."""
    plain, _, group = word.lower().partition(".")
    for info in _TABLE if group else ():
        if plain in (*info.words, info.plural, info.singular) and info.is_in_group(group):
            return info
    if plain in _BY_WORD:
        return _BY_WORD[plain]
    near = difflib.get_close_matches(plain, [*_BY_WORD], 1)
    raise InvalidObject(f'unknown kind "{word}"' + (f', did you mean "{near[0]}"?' if near else ""), hint="pods, deployments, nodes …")
