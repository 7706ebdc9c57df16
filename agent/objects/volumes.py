"""The volumes of a pod (core/v1 Volume) that name an object, a directory or a driver of this node.

The sources of cloud and network storage vendors are in volumes_vendor.py. A volume has exactly one source;
validate.py says so when it has none or two.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from agent.objects import volumes_vendor as vendor
from agent.objects.claim import PersistentVolumeClaimSpec
from agent.objects.container import ObjectFieldSelector, ResourceFieldSelector
from agent.objects.meta import ObjectMeta, Value
from agent.objects.quantity import Quantity
from agent.objects.reference import LocalObjectReference
from agent.objects.selector import LabelSelector

CSI_DRIVER = "csi.podwright.io"
"""Our own driver, in process and by CSI."""


def ephemeral_claim_name(pod: str, volume: str) -> str:
    """Of the claim that an ephemeral volume of a pod is made from."""
    return f"{pod}-{volume}"


class HostPathType(StrEnum):
    ANY = ""
    DIRECTORY_OR_CREATE = "DirectoryOrCreate"
    DIRECTORY = "Directory"
    FILE_OR_CREATE = "FileOrCreate"
    FILE = "File"
    SOCKET = "Socket"
    CHAR_DEVICE = "CharDevice"
    BLOCK_DEVICE = "BlockDevice"


class HostPathVolume(Value, frozen=True):
    path: str
    type: HostPathType = HostPathType.ANY


class EmptyDirVolume(Value, frozen=True):
    """`medium`: "" is the node's disk, Memory is tmpfs, HugePages[-SIZE] is hugetlbfs."""

    medium: str = ""
    size_limit: Quantity | None = None


class KeyToPath(Value, frozen=True):
    key: str
    path: str
    mode: int | None = None


class SecretVolume(Value, frozen=True):
    secret_name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int | None = None
    optional: bool | None = None


class ConfigMapVolume(Value, frozen=True):
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int | None = None
    optional: bool | None = None


class DownwardAPIFile(Value, frozen=True):
    path: str
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: int | None = None


class DownwardAPIVolume(Value, frozen=True):
    items: tuple[DownwardAPIFile, ...] = ()
    default_mode: int | None = None


class SecretProjection(Value, frozen=True):
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


class ConfigMapProjection(SecretProjection, frozen=True):
    pass


class DownwardAPIProjection(Value, frozen=True):
    items: tuple[DownwardAPIFile, ...] = ()


class ServiceAccountTokenProjection(Value, frozen=True):
    path: str
    audience: str = ""
    expiration_seconds: int | None = None


class ClusterTrustBundleProjection(Value, frozen=True):
    path: str
    name: str = ""
    signer_name: str = ""
    label_selector: LabelSelector | None = None
    optional: bool | None = None


class PodCertificateProjection(Value, frozen=True):
    signer_name: str
    key_type: str
    max_expiration_seconds: int | None = None
    credential_bundle_path: str = ""
    key_path: str = ""
    certificate_chain_path: str = ""
    user_annotations: dict[str, str] = {}


class VolumeProjection(Value, frozen=True):
    secret: SecretProjection | None = None
    config_map: ConfigMapProjection | None = None
    downward_api: DownwardAPIProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None
    cluster_trust_bundle: ClusterTrustBundleProjection | None = None
    pod_certificate: PodCertificateProjection | None = None


class ProjectedVolume(Value, frozen=True):
    sources: tuple[VolumeProjection, ...] = ()
    default_mode: int | None = None


class ClaimVolume(Value, frozen=True):
    claim_name: str
    read_only: bool = False


class ClaimTemplate(Value, frozen=True, kw_only=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeClaimSpec


class EphemeralVolume(Value, frozen=True):
    volume_claim_template: ClaimTemplate | None = None


class CSIVolume(Value, frozen=True):
    driver: str
    read_only: bool | None = None
    fs_type: str | None = None
    volume_attributes: dict[str, str] = {}
    node_publish_secret_ref: LocalObjectReference | None = None


class ImageVolume(Value, frozen=True):
    reference: str = ""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None


class Volume(Value, frozen=True):
    name: str
    empty_dir: EmptyDirVolume | None = None
    host_path: HostPathVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    downward_api: DownwardAPIVolume | None = None
    projected: ProjectedVolume | None = None
    csi: CSIVolume | None = None
    ephemeral: EphemeralVolume | None = None
    image: ImageVolume | None = None
    nfs: vendor.NFSVolume | None = None
    iscsi: vendor.ISCSIVolume | None = None
    fc: vendor.FibreChannelVolume | None = None
    git_repo: vendor.GitRepoVolume | None = None
    gce_persistent_disk: vendor.GCEPersistentDiskVolume | None = None
    aws_elastic_block_store: vendor.AWSElasticBlockStoreVolume | None = None
    azure_disk: vendor.AzureDiskVolume | None = None
    azure_file: vendor.AzureFileVolume | None = None
    cinder: vendor.CinderVolume | None = None
    vsphere_volume: vendor.VSphereVolume | None = None
    rbd: vendor.RBDVolume | None = None
    cephfs: vendor.CephFSVolume | None = None
    glusterfs: vendor.GlusterFSVolume | None = None
    flex_volume: vendor.FlexVolume | None = None
    flocker: vendor.FlockerVolume | None = None
    quobyte: vendor.QuobyteVolume | None = None
    photon_persistent_disk: vendor.PhotonPersistentDiskVolume | None = None
    portworx_volume: vendor.PortworxVolume | None = None
    scale_io: vendor.ScaleIOVolume | None = None
    storageos: vendor.StorageOSVolume | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The wire names of the sources that are set; a good volume has one."""
        fields = msgspec.structs.fields(type(self))
        return tuple(f.encode_name for f in fields if f.name != "name" and getattr(self, f.name) is not None)
