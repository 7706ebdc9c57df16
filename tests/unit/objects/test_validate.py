from __future__ import annotations

import pytest

from agent.errors import InvalidObject
from agent.objects.decode import decode


def problems(text: str) -> list[str]:
    try:
        decode(text)
    except InvalidObject as refusal:
        return list(refusal.problems)
    return []


def pod(spec: str, metadata: str = "name: web") -> str:
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{{metadata}}}\nspec: {{{spec}}}\n"


def container(fields: str, more: str = "") -> str:
    return pod(f"containers: [{{name: web, {fields}}}]" + (f", {more}" if more else ""))


def deployment(spec: str, pod_spec: str = "containers: [{name: web}]", labels: str = "app: web") -> str:
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
        f"spec: {{{spec}, template: {{metadata: {{labels: {{{labels}}}}}, spec: {{{pod_spec}}}}}}}\n"
    )


OWN = "selector: {matchLabels: {app: web}}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (pod("containers: []"), "spec.containers: at least one is needed"),
        (pod("containers: [{name: a}]", "name: Web"), 'metadata.name: "Web" is not a DNS name'),
        (pod("containers: [{name: a}]", "name: web, namespace: a.b"), 'metadata.namespace: "a.b" is not a DNS label'),
        (pod("containers: [{name: a}]", 'name: web, labels: {app: "a b"}'), 'metadata.labels[app]: label value "a b"'),
        (pod("containers: [{name: a}]", 'name: web, annotations: {"a b": c}'), 'metadata.annotations: key "a b"'),
        (pod("containers: [{name: a_b}]"), 'spec.containers[0].name: "a_b" is not a DNS label'),
        (pod("containers: [{name: a}, {name: a}]"), 'spec.containers[1].name: "a" is already the name of spec.containers[0]'),
        (
            pod("containers: [{name: a}], initContainers: [{name: a}]"),
            'spec.containers[0].name: "a" is already the name of spec.initContainers[0]',
        ),
        (container("ports: [{containerPort: 0}]"), "spec.containers[0].ports[0].containerPort: 0 is not a port"),
        (container("ports: [{containerPort: 80, hostPort: 65536}]"), "spec.containers[0].ports[0].hostPort: 65536 is not a port"),
        (container("ports: [{containerPort: 80, name: HTTP}]"), 'spec.containers[0].ports[0].name: "HTTP" is not a port name'),
        (
            container("ports: [{containerPort: 80, name: a}, {containerPort: 81, name: a}]"),
            'spec.containers[0].ports[1].name: "a" is there twice',
        ),
        (
            container("ports: [{containerPort: 80, hostPort: 8080}]", "hostNetwork: true"),
            "spec.containers[0].ports[0].hostPort: with hostNetwork it must be the containerPort, 80",
        ),
        (
            pod(
                "containers: [{name: a, ports: [{containerPort: 1, hostPort: 80}]}, "
                "{name: b, ports: [{containerPort: 2, hostPort: 80, hostIP: 192.0.2.1}]}]"
            ),
            "spec.containers[1].ports[0].hostPort: 80/TCP is already taken by spec.containers[0].ports[0]",
        ),
        (
            container("ports: [{containerPort: 1, hostPort: 80, hostIP: 192.0.2.1}, {containerPort: 2, hostPort: 80, hostIP: 0.0.0.0}]"),
            "spec.containers[0].ports[1].hostPort: 80/TCP is already taken by spec.containers[0].ports[0]",
        ),
        (container("env: [{name: A=B}]"), 'spec.containers[0].env[0].name: "A=B" is not a variable name'),
        (container("env: [{name: A, value: b, valueFrom: {}}]"), "spec.containers[0].env[0]: has both value and valueFrom"),
        (
            container("resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}"),
            "spec.containers[0].resources.requests[cpu]: 2 is more than the limit of 1500m",
        ),
        (container("resources: {limits: {memory: -1Gi}}"), "spec.containers[0].resources.limits[memory]: -1Gi is negative"),
        (container("securityContext: {runAsUser: -1}"), "spec.containers[0].securityContext.runAsUser: -1 is not a user or group id"),
        (container("volumeMounts: [{name: data, mountPath: /d}]"), 'spec.containers[0].volumeMounts[0].name: the pod has no volume "data"'),
        (
            container("volumeMounts: [{name: v, mountPath: /d, subPath: a/../b}]", "volumes: [{name: v, emptyDir: {}}]"),
            'spec.containers[0].volumeMounts[0].subPath: "a/../b" must be relative',
        ),
        (
            container("volumeMounts: [{name: v, mountPath: /d}, {name: v, mountPath: /d}]", "volumes: [{name: v, emptyDir: {}}]"),
            'spec.containers[0].volumeMounts[1].mountPath: "/d" is there twice',
        ),
        (container("image: x", "volumes: [{name: v}]"), "spec.volumes[0]: has no source"),
        (
            container("image: x", "volumes: [{name: v, emptyDir: {}, hostPath: {path: /}}]"),
            "spec.volumes[0]: has 2 sources (emptyDir, hostPath)",
        ),
        (container("image: x", "volumes: [{name: v, emptyDir: {}}, {name: v, emptyDir: {}}]"), 'spec.volumes[1].name: "v" is there twice'),
        (container("image: x", "hostname: a.b"), 'spec.hostname: "a.b" is not a DNS label'),
        (container("image: x", "terminationGracePeriodSeconds: -1"), "spec.terminationGracePeriodSeconds: -1 is negative"),
        (container("image: x", "dnsPolicy: None"), "spec.dnsConfig.nameservers: at least one is needed with dnsPolicy None"),
        (container("image: x", "dnsConfig: {searches: [a_b, 'c d']}"), 'spec.dnsConfig.searches[1]: "c d" is not a DNS name'),
        (
            container("image: x", "dnsConfig: {nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4]}"),
            "spec.dnsConfig.nameservers: 4 are given",
        ),
        (container("image: x", "securityContext: {supplementalGroups: [1, -1]}"), "spec.securityContext.supplementalGroups[1]: -1 is not"),
        (container("image: x", "securityContext: {sysctls: [{name: Net., value: '1'}]}"), 'spec.securityContext.sysctls[0].name: "Net."'),
        (
            container("image: x", "securityContext: {sysctls: [{name: vm.overcommit_memory, value: '1'}]}"),
            "spec.securityContext.sysctls[0].name: vm.overcommit_memory belongs to the whole node",
        ),
        (
            container("image: x", "securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}, {name: kernel/msgmax, value: '2'}]}"),
            'spec.securityContext.sysctls[1].name: "kernel/msgmax" is there twice',
        ),
        (
            container("image: x", "hostNetwork: true, securityContext: {sysctls: [{name: net.core.somaxconn, value: '1'}]}"),
            "spec.securityContext.sysctls[0].name: net.core.somaxconn would be the node's own, because hostNetwork is true",
        ),
        (
            container("image: x", "hostIPC: true, securityContext: {sysctls: [{name: fs.mqueue.msg_max, value: '1'}]}"),
            "spec.securityContext.sysctls[0].name: fs.mqueue.msg_max would be the node's own, because hostIPC is true",
        ),
        (
            container("image: x", 'securityContext: {sysctls: [{name: kernel.sem, value: "1\\n2"}]}'),
            "spec.securityContext.sysctls[0].value: must be one line",
        ),
        (container('command: ["a\\0b"]'), "spec.containers[0].command[0]: has a NUL character"),
        (container('args: [a, "\\0"]'), "spec.containers[0].args[1]: has a NUL character"),
        (container('env: [{name: A, value: "\\0"}]'), "spec.containers[0].env[0].value: has a NUL character"),
        (container('workingDir: "/\\0"'), "spec.containers[0].workingDir: has a NUL character"),
        (
            container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.phase}}}]"),
            'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: "status.phase" is not one of metadata.name',
        ),
        (
            container("env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.gpu}}}]"),
            'spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: "limits.gpu" is not one of limits.cpu',
        ),
        (
            pod("containers: [{name: a}]", "name: web, annotations: {kubernetes.io/ingress-bandwidth: fast}"),
            'metadata.annotations[kubernetes.io/ingress-bandwidth]: "fast" is not a quantity',
        ),
        (
            pod("containers: [{name: a}]", "name: web, annotations: {kubernetes.io/egress-bandwidth: '10'}"),
            "metadata.annotations[kubernetes.io/egress-bandwidth]: 10 bit/s is out of range",
        ),
        (deployment("selector: {matchLabels: {app: db}}"), "spec.selector: does not match spec.template.metadata.labels"),
        (deployment("selector: {}"), "spec.selector: is empty and would match every pod"),
        (deployment(f"{OWN}, replicas: -1"), "spec.replicas: -1 is negative"),
        (deployment(f"{OWN}, strategy: {{rollingUpdate: {{maxSurge: lots}}}}"), 'spec.strategy.rollingUpdate.maxSurge: "lots" is neither'),
        (
            deployment(f"{OWN}, strategy: {{rollingUpdate: {{maxSurge: 0, maxUnavailable: 0%}}}}"),
            "spec.strategy.rollingUpdate: maxUnavailable and",
        ),
        (
            deployment(f"{OWN}, strategy: {{type: Recreate, rollingUpdate: {{}}}}"),
            "spec.strategy.rollingUpdate: has no meaning with type Recreate",
        ),
        (
            deployment(OWN, "containers: [{name: a}], restartPolicy: Never"),
            "spec.template.spec.restartPolicy: a Deployment's pods are always restarted",
        ),
        (deployment(OWN, "containers: [{name: a}, {name: a}]"), "spec.template.spec.containers[1].name:"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n", 'metadata.name: "a.b" is not a DNS label'),
        ("apiVersion: v1\nkind: LimitRange\nmetadata: {name: ../b}\n", 'metadata.name: "../b" cannot be part of a path'),
    ],
)
def test_what_is_wrong_beyond_the_types(text: str, problem: str) -> None:
    found = problems(text)
    assert len(found) == 1, found
    assert found[0].startswith(problem)


@pytest.mark.parametrize(
    "text",
    [
        container("ports: [{containerPort: 53, hostPort: 53, protocol: UDP}, {containerPort: 53, hostPort: 53, protocol: TCP}]"),
        container("ports: [{containerPort: 1, hostPort: 80, hostIP: 192.0.2.1}, {containerPort: 2, hostPort: 80, hostIP: 192.0.2.2}]"),
        container('ports: [{containerPort: 1, hostPort: 80, hostIP: 0.0.0.0}, {containerPort: 2, hostPort: 80, hostIP: "::"}]'),
        container("ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}]"),
        container("resources: {requests: {cpu: 1}, limits: {cpu: 1000m}}"),
        pod("containers: [{name: a}]", "generateName: web-"),
        pod("containers: [{name: a}]", "name: web, annotations: {Example.com/Note: any text}"),
        deployment(f"{OWN}, replicas: 0, strategy: {{type: Recreate}}"),
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: 'system:node'}\n",
    ],
)
def test_what_is_right(text: str) -> None:
    assert problems(text) == []


def test_a_slip_of_the_finger_in_replicas_is_refused() -> None:
    with pytest.raises(InvalidObject) as refused:
        decode(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 100000000, selector: {matchLabels: {a: b}},"
            " template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x:1}]}}}"
        )
    assert "spec.replicas: 100000000 is more than one node can hold: at most 10000" in str(refused.value.problems or refused.value)
