"""Volume sources of network and cloud storage (core/v1). Nothing acts on them; they survive a round trip."""

from __future__ import annotations

from typing import Literal

from agent.objects.meta import Value
from agent.objects.reference import LocalObjectReference


class NFSVolume(Value, frozen=True):
    server: str
    path: str
    read_only: bool = False


class ISCSIVolume(Value, frozen=True):
    target_portal: str
    iqn: str
    lun: int
    iscsi_interface: str = ""
    fs_type: str = ""
    read_only: bool = False
    portals: tuple[str, ...] = ()
    chap_auth_discovery: bool = False
    chap_auth_session: bool = False
    secret_ref: LocalObjectReference | None = None
    initiator_name: str | None = None


class FibreChannelVolume(Value, frozen=True):
    target_wwns: tuple[str, ...] = ()
    lun: int | None = None
    fs_type: str = ""
    read_only: bool = False
    wwids: tuple[str, ...] = ()


class GitRepoVolume(Value, frozen=True):
    repository: str
    revision: str = ""
    directory: str = ""


class GCEPersistentDiskVolume(Value, frozen=True):
    pd_name: str
    fs_type: str = ""
    partition: int = 0
    read_only: bool = False


class AWSElasticBlockStoreVolume(Value, frozen=True):
    volume_id: str
    fs_type: str = ""
    partition: int = 0
    read_only: bool = False


class AzureDiskVolume(Value, frozen=True):
    disk_name: str
    disk_uri: str
    caching_mode: Literal["None", "ReadOnly", "ReadWrite"] | None = None
    fs_type: str | None = None
    read_only: bool | None = None
    kind: Literal["Shared", "Dedicated", "Managed"] | None = None


class AzureFileVolume(Value, frozen=True):
    secret_name: str
    share_name: str
    read_only: bool = False


class CinderVolume(Value, frozen=True):
    volume_id: str
    fs_type: str = ""
    read_only: bool = False
    secret_ref: LocalObjectReference | None = None


class VSphereVolume(Value, frozen=True):
    volume_path: str
    fs_type: str = ""
    storage_policy_name: str = ""
    storage_policy_id: str = ""


class RBDVolume(Value, frozen=True):
    monitors: tuple[str, ...]
    image: str
    fs_type: str = ""
    pool: str = ""
    user: str = ""
    keyring: str = ""
    secret_ref: LocalObjectReference | None = None
    read_only: bool = False


class CephFSVolume(Value, frozen=True):
    monitors: tuple[str, ...]
    path: str = ""
    user: str = ""
    secret_file: str = ""
    secret_ref: LocalObjectReference | None = None
    read_only: bool = False


class GlusterFSVolume(Value, frozen=True):
    endpoints: str
    path: str
    read_only: bool = False


class FlexVolume(Value, frozen=True):
    driver: str
    fs_type: str = ""
    secret_ref: LocalObjectReference | None = None
    read_only: bool = False
    options: dict[str, str] = {}


class FlockerVolume(Value, frozen=True):
    dataset_name: str = ""
    dataset_uuid: str = ""


class QuobyteVolume(Value, frozen=True):
    registry: str
    volume: str
    read_only: bool = False
    user: str = ""
    group: str = ""
    tenant: str = ""


class PhotonPersistentDiskVolume(Value, frozen=True):
    pd_id: str
    fs_type: str = ""


class PortworxVolume(Value, frozen=True):
    volume_id: str
    fs_type: str = ""
    read_only: bool = False


class ScaleIOVolume(Value, frozen=True):
    gateway: str
    system: str
    secret_ref: LocalObjectReference
    ssl_enabled: bool = False
    protection_domain: str = ""
    storage_pool: str = ""
    storage_mode: str = ""
    volume_name: str = ""
    fs_type: str = ""
    read_only: bool = False


class StorageOSVolume(Value, frozen=True):
    volume_name: str = ""
    volume_namespace: str = ""
    fs_type: str = ""
    read_only: bool = False
    secret_ref: LocalObjectReference | None = None
