"""What the types cannot say about how a pod's programs run: words, variables, users, kernel settings.

The kernel ends every string that a program is given at its first NUL, so none may have one inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agent.objects.container import Container, EnvVar, EnvVarSource
from agent.objects.names import environment_name_problem, label_key_problem
from agent.objects.pod import PodSpec
from agent.objects.sysctls import proc_path, sysctl_problems

MAX_ID = 2**31 - 1
_POD_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
_KEYED_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_RESOURCE = re.compile(r"(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-\S+)", re.ASCII)


def process_problems(container: Container, path: str) -> Iterator[str]:
    for field, words in (("command", container.command), ("args", container.args)):
        for index, word in enumerate(words):
            yield from nul_problem(word, f"{path}.{field}[{index}]")
    yield from nul_problem(container.working_dir, f"{path}.workingDir")
    for index, variable in enumerate(container.env):
        yield from _variable_problems(variable, f"{path}.env[{index}]")
    if container.security_context is not None:
        yield from _id_problem(container.security_context.run_as_user, f"{path}.securityContext.runAsUser")
        yield from _id_problem(container.security_context.run_as_group, f"{path}.securityContext.runAsGroup")


def nul_problem(text: str, path: str) -> Iterator[str]:
    if "\0" in text:
        yield f"{path}: has a NUL character, where the kernel would end it"


def _variable_problems(variable: EnvVar, path: str) -> Iterator[str]:
    if problem := environment_name_problem(variable.name):
        yield f"{path}.name: {problem}"
    yield from nul_problem(variable.value, f"{path}.value")
    source = variable.value_from
    if source is None:
        return
    if variable.value:
        yield f"{path}: has both value and valueFrom, write one"
    yield from _source_problems(source, f"{path}.valueFrom")


def _source_problems(source: EnvVarSource, path: str) -> Iterator[str]:
    if source.field_ref is not None:
        yield from _field_problems(source.field_ref.field_path, f"{path}.fieldRef.fieldPath")
    reference = source.resource_field_ref
    if reference is None:
        return
    if not _RESOURCE.fullmatch(reference.resource):
        yield f'{path}.resourceFieldRef.resource: "{reference.resource}" is not one of limits.cpu, limits.memory, requests.cpu …'
    if reference.divisor is not None and reference.divisor.nano < 0:
        yield f"{path}.resourceFieldRef.divisor: {reference.divisor} is negative"


def _field_problems(field: str, path: str) -> Iterator[str]:
    keyed = _KEYED_FIELD.fullmatch(field)
    if keyed is not None:
        if problem := label_key_problem(keyed[2].lower()):
            yield f"{path}: {problem}"
    elif field not in _POD_FIELDS:
        yield f"{path}: \"{field}\" is not one of {', '.join(_POD_FIELDS)}, metadata.labels['KEY'], metadata.annotations['KEY']"


def security_problems(spec: PodSpec, path: str) -> Iterator[str]:
    context = spec.security_context
    yield from _id_problem(context.run_as_user, f"{path}.runAsUser")
    yield from _id_problem(context.run_as_group, f"{path}.runAsGroup")
    yield from _id_problem(context.fs_group, f"{path}.fsGroup")
    for index, group in enumerate(context.supplemental_groups):
        yield from _id_problem(group, f"{path}.supplementalGroups[{index}]")
    for index, sysctl in enumerate(context.sysctls):
        yield from sysctl_problems(sysctl, f"{path}.sysctls[{index}]", host_network=spec.host_network, host_ipc=spec.host_ipc)
    yield from duplicates((proc_path(sysctl.name) for sysctl in context.sysctls), f"{path}.sysctls", "name")


def _id_problem(number: int | None, path: str) -> Iterator[str]:
    if number is not None and not 0 <= number <= MAX_ID:
        yield f"{path}: {number} is not a user or group id, write 0 to {MAX_ID}"


def duplicates(values: Iterable[str], path: str, field: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value and value in seen:
            yield f'{path}[{index}].{field}: "{value}" is there twice'
        seen.add(value)
