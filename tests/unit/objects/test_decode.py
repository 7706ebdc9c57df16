from __future__ import annotations

from ipaddress import IPv4Address
from textwrap import dedent

import pytest

from agent.errors import InvalidObject
from agent.objects.attachment import Protocol
from agent.objects.decode import decode
from agent.objects.deployment import Deployment
from agent.objects.opaque import Opaque
from agent.objects.pod import Pod, RestartPolicy
from agent.objects.quantity import Quantity


def pod(spec: str, metadata: str = "{name: web}") -> str:
    return f"apiVersion: v1\nkind: Pod\nmetadata: {metadata}\nspec: {spec}\n"


def container(fields: str) -> str:
    return pod(f"{{containers: [{{name: web, {fields}}}]}}")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidObject) as refusal:
        decode(text, source="web.yaml")
    return refusal.value.problems


def test_a_pod_is_typed() -> None:
    text = """
        apiVersion: v1
        kind: Pod
        metadata: {name: web, labels: {app: web}, creationTimestamp: null}
        spec:
          restartPolicy: Never
          containers:
          - name: web
            image: nginx:1.27
            env: [{name: PORT, value: "80"}]
            ports: [{containerPort: 80, hostPort: 8080, hostIP: 192.0.2.1, protocol: UDP}]
            resources: {requests: {cpu: 0.5, memory: 64Mi}, limits: {cpu: 1}}
    """
    (decoded,) = decode(dedent(text))
    assert isinstance(decoded.object, Pod)
    assert decoded.object.key == ("Pod", "default", "web")
    assert decoded.object.spec.restart_policy is RestartPolicy.NEVER
    (web,) = decoded.object.spec.containers
    (port,) = web.ports
    assert (port.container_port, port.host_port, port.host_ip, port.protocol) == (80, 8080, IPv4Address("192.0.2.1"), Protocol.UDP)
    assert web.resources.requests == {"cpu": Quantity.parse("500m"), "memory": Quantity.parse("64Mi")}


def test_several_documents_and_lists_come_in_their_order() -> None:
    text = """
        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
        ---
        apiVersion: v1
        kind: List
        items:
        - {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {k: "1"}}
        - apiVersion: v1
          kind: PodList
          items: [{apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {containers: [{name: c}]}}]
        ---
        {apiVersion: v1, kind: List, items: null}
    """
    assert [str(decoded.object.key) for decoded in decode(dedent(text), default_namespace="test")] == [
        "namespace shop",
        "configmap shop/a",
        "pod test/b",
    ]


def test_a_kind_that_nothing_acts_on_is_kept_whole_with_a_warning() -> None:
    (decoded,) = decode("apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}], x-any: 1.50}\n")
    assert isinstance(decoded.object, Opaque)
    assert decoded.object.rest == {"spec": {"ports": [{"port": 80}], "x-any": 1.5}}
    assert decoded.warnings == ("kind Service is stored but nothing acts on it yet",)


def test_the_metadata_of_such_a_kind_is_strict() -> None:
    assert problems("apiVersion: v1\nkind: Service\nmetadata: {nmae: web}\n") == ('metadata.nmae: unknown field, did you mean "name"?',)


def test_a_field_that_nothing_acts_on_is_kept_and_reported_once_at_its_highest_path() -> None:
    text = """
        apiVersion: v1
        kind: Pod
        metadata: {name: web}
        spec:
          priorityClassName: high
          tolerations: [{key: a, operator: Exists}, {key: b, operator: Exists}]
          containers:
          - {name: a, livenessProbe: {httpGet: {port: http, path: /}}, securityContext: {runAsUser: 1, seLinuxOptions: {level: s0}}}
          - {name: b, livenessProbe: {exec: {command: ["true"]}}}
    """
    (decoded,) = decode(dedent(text))
    assert set(decoded.warnings) == {
        "spec.priorityClassName is stored but not enforced",
        "spec.tolerations is stored but not enforced",
        "spec.containers[0].livenessProbe is stored but not enforced",
        "spec.containers[0].securityContext.seLinuxOptions is stored but not enforced",
    }
    assert isinstance(decoded.object, Pod)
    assert decoded.object.spec.containers[0].liveness_probe is not None


def test_a_namespace_on_a_cluster_wide_kind_is_ignored_and_said_so() -> None:
    (decoded,) = decode("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a, namespace: b}\n")
    assert decoded.object.key == ("ClusterRole", "", "a")
    assert "metadata.namespace is ignored: a ClusterRole is in no namespace" in decoded.warnings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (container("imagee: x"), 'spec.containers[0].imagee: unknown field, did you mean "image"?'),
        (container("Image: x"), 'spec.containers[0].Image: unknown field, did you mean "image"?'),
        (container("zzz: x"), "spec.containers[0].zzz: unknown field"),
        (pod("{containers: [{name: a}], ports: []}"), 'spec.ports: unknown field, did you mean "containers[].ports"?'),
        (
            pod("{containers: [{name: a}], hostNetwork: 'true'}"),
            "spec.hostNetwork: expected true or false, got the string 'true'; remove the quotes",
        ),
        (
            container("env: [{name: A, value: yes}]"),
            'spec.containers[0].env[0].value: expected a string, got the boolean yes; quote it: "yes"',
        ),
        (
            container("env: [{name: A, value: 1e3}]"),
            'spec.containers[0].env[0].value: expected a string, got the number 1e3; quote it: "1e3"',
        ),
        (container("command: [sleep, 5]"), 'spec.containers[0].command[1]: expected a string, got the integer 5; quote it: "5"'),
        (container("command: [null]"), "spec.containers[0].command[0]: expected a string, got null"),
        (container("command: sleep"), "spec.containers[0].command: expected a list, got the string 'sleep'"),
        (container("resources: []"), "spec.containers[0].resources: expected a mapping, got a list"),
        (
            container('ports: [{containerPort: "80"}]'),
            "spec.containers[0].ports[0].containerPort: expected an integer, got the string '80'; remove the quotes",
        ),
        (
            container("ports: [{containerPort: 80, hostIP: 1.2.3}]"),
            "spec.containers[0].ports[0].hostIP: '1.2.3' does not appear to be an IPv4 or IPv6 address",
        ),
        (container("ports: [{hostPort: 80}]"), "spec.containers[0].ports[0].containerPort: is required and missing"),
        (
            container("ports: [{containerPort: 80, protocol: tcp}]"),
            "spec.containers[0].ports[0].protocol: expected TCP, UDP or SCTP, got the string 'tcp', did you mean \"TCP\"?",
        ),
        (
            container("imagePullPolicy: IfNotHere"),
            "spec.containers[0].imagePullPolicy: expected Always, IfNotPresent or Never, "
            "got the string 'IfNotHere', did you mean \"IfNotPresent\"?",
        ),
        (
            container("resources: {limits: {cpu: 1x}}"),
            'spec.containers[0].resources.limits[cpu]: "1x" is not a quantity: '
            "write a number with an optional suffix, such as 100m, 2, 1.5Gi or 1e3",
        ),
        (
            container("resources: {limits: {cpu: true}}"),
            "spec.containers[0].resources.limits[cpu]: expected a quantity, got the boolean true",
        ),
        (
            container("livenessProbe: {httpGet: {port: 1.5}}"),
            "spec.containers[0].livenessProbe.httpGet.port: expected an integer or a string, got the number 1.5",
        ),
        (pod("{containers: [{image: x}]}"), "spec.containers[0].name: is required and missing"),
        (pod("{}"), "spec.containers: is required and missing"),
        (pod("null"), "spec: is required and missing"),
        (
            pod("{containers: [{name: a}]}", "{labels: {version: 1.10}, name: a}"),
            'metadata.labels[version]: expected a string, got the number 1.10; quote it: "1.10"',
        ),
        (pod("{containers: [{name: a}]}", "{}"), "metadata.name: is required and missing"),
        ("kind: Pod\n", "apiVersion: is required and missing"),
        ("apiVersion: v1\nkind: Pdo\n", 'kind: "Pdo" is not a kind this agent knows, did you mean "Pod"?'),
        ("apiVersion: v1\nkind: Kangaroo\n", 'kind: "Kangaroo" is not a kind this agent knows'),
        (
            "apiVersion: podwright.io/v1\nkind: Attachment\n",
            'kind: "Attachment" is not a kind this agent knows',
        ),
        ("apiVersion: apps/v1beta1\nkind: Deployment\n", 'apiVersion: Deployment is in apps/v1, not in "apps/v1beta1"'),
        ("- a\n", "document: expected an object with apiVersion and kind, got a list"),
        ("hello\n", 'document: expected an object with apiVersion and kind, got "hello"'),
    ],
)
def test_what_is_wrong_is_told_by_path(text: str, problem: str) -> None:
    assert problems(text) == (problem,)


def test_all_problems_of_all_objects_are_told_together() -> None:
    text = pod("{containers: [{nmae: a}]}") + "---\n" + pod("{containers: [{name: b, image: 3}]}", "{name: db}")
    with pytest.raises(InvalidObject) as refusal:
        decode(text, source="shop.yaml")
    assert refusal.value.problems == (
        "Pod web: spec.containers[0].name: is required and missing",
        'Pod web: spec.containers[0].nmae: unknown field, did you mean "name"?',
        'Pod db: spec.containers[0].image: expected a string, got the integer 3; quote it: "3"',
    )
    assert refusal.value.message == "shop.yaml: Pod web is wrong: spec.containers[0].name: is required and missing (and 2 more)"


def test_one_wrong_object_lets_none_in() -> None:
    with pytest.raises(InvalidObject):
        decode(container("image: nginx") + "---\n" + container("image: 1"))


def test_null_means_not_set() -> None:
    (decoded,) = decode(
        pod("{containers: [{name: a, resources: null, ports: null}], nodeSelector: null}", "{name: a, annotations: {note: null}}")
    )
    assert isinstance(decoded.object, Pod)
    assert decoded.object.metadata.annotations == {"note": ""}
    assert decoded.object.spec.node_selector == {}


def test_an_empty_string_for_a_choice_or_an_address_means_not_set() -> None:
    (decoded,) = decode(container('imagePullPolicy: "", ports: [{containerPort: 80, hostIP: "", protocol: ""}]'))
    assert isinstance(decoded.object, Pod)
    (web,) = decoded.object.spec.containers
    assert web.image_pull_policy is None
    assert (web.ports[0].host_ip, web.ports[0].protocol) == (None, Protocol.TCP)


def test_an_ordinary_deployment_goes_in() -> None:
    text = """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          replicas: 3
          selector: {matchLabels: {app: web}}
          strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 25%}}
          template:
            metadata: {labels: {app: web}, annotations: {prometheus.io/scrape: "true"}}
            spec:
              affinity:
                podAntiAffinity:
                  preferredDuringSchedulingIgnoredDuringExecution:
                  - weight: 100
                    podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}
              topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
              containers:
              - name: web
                image: nginx
                lifecycle: {preStop: {exec: {command: [sleep, "5"]}}}
                readinessProbe: {httpGet: {path: /, port: http}}
                ports: [{name: http, containerPort: 80}]
                volumeMounts: [{name: data, mountPath: /data}, {name: token, mountPath: /token, readOnly: true}]
              volumes:
              - {name: data, emptyDir: {sizeLimit: 1Gi}}
              - name: token
                projected:
                  sources:
                  - serviceAccountToken: {path: token}
                  - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
    """
    (decoded,) = decode(dedent(text))
    assert isinstance(decoded.object, Deployment)
    assert decoded.object.spec.replicas == 3
    assert decoded.object.spec.template.spec.volumes[1].sources == ("projected",)
    assert "spec.template.spec.affinity is stored but not enforced" in decoded.warnings
