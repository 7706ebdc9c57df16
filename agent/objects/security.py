"""As whom a pod and its containers run (core/v1 PodSecurityContext and SecurityContext)."""

from __future__ import annotations

from typing import Literal

from agent.objects.meta import Value


class SELinuxOptions(Value, frozen=True):
    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class WindowsOptions(Value, frozen=True):
    gmsa_credential_spec_name: str = ""
    gmsa_credential_spec: str = ""
    run_as_user_name: str = ""
    host_process: bool | None = None


class SecurityProfile(Value, frozen=True):
    """Of seccomp or AppArmor."""

    type: Literal["RuntimeDefault", "Unconfined", "Localhost"]
    localhost_profile: str = ""


class Capabilities(Value, frozen=True):
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SecurityContext(Value, frozen=True):
    """Of one container; what it sets wins over the pod's."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    privileged: bool | None = None
    capabilities: Capabilities | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    proc_mount: Literal["Default", "Unmasked"] | None = None
    se_linux_options: SELinuxOptions | None = None
    windows_options: WindowsOptions | None = None
    seccomp_profile: SecurityProfile | None = None
    app_armor_profile: SecurityProfile | None = None


class Sysctl(Value, frozen=True):
    name: str
    value: str


class PodSecurityContext(Value, frozen=True):
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: Literal["Merge", "Strict"] | None = None
    fs_group: int | None = None
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] | None = None
    sysctls: tuple[Sysctl, ...] = ()
    se_linux_options: SELinuxOptions | None = None
    se_linux_change_policy: Literal["Recursive", "MountOption"] | None = None
    windows_options: WindowsOptions | None = None
    seccomp_profile: SecurityProfile | None = None
    app_armor_profile: SecurityProfile | None = None
