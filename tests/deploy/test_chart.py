"""The chart: rendered and linted by Helm's engine, valid for Kubernetes, closed to unknown values, true to the binaries."""

import collections
import re
import subprocess

import helm_python
import jsonschema
import kubernetes_validate
import pytest

from chart import CHART, ROOT, VALUES, container, deployment, merged, of_kind, render, script, values_of

CASES = sorted(path.stem for path in VALUES.glob("*.yaml"))
OLDEST_KUBERNETES, NEWEST_KUBERNETES = "1.30", kubernetes_validate.latest_version()

# What the chart sets by itself, by the program that has it: not for `flags`.
SET_BY_THE_CHART = {
    "*": {"help", "version", "config", "host", "port", "admin-port", "log-level", "log-format", "drain-seconds",
          "internal-ssl-certfile", "internal-ssl-keyfile", "internal-ssl-ca-certs"},
    "gateway": {"grpc-port", "tokenizer-endpoints", "worker-endpoints", "api-key", "api-key-file",
                "ssl-certfile", "ssl-keyfile", "ssl-ca-certs", "ssl-cert-reqs", "internal-ssl-server-name"},
    "tokenizer": {"model", "served-model-name"},
    "worker": {"model", "served-model-name", "device", "tensor-parallel-size"},
}

# The part of the Prometheus Operator's PodMonitor that the chart uses.
POD_MONITOR = {
    "type": "object", "additionalProperties": False, "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "monitoring.coreos.com/v1"}, "kind": {"const": "PodMonitor"}, "metadata": {"type": "object"},
        "spec": {
            "type": "object", "additionalProperties": False, "required": ["selector", "podMetricsEndpoints"],
            "properties": {
                "selector": {"type": "object", "additionalProperties": False,
                             "properties": {"matchLabels": {"type": "object", "additionalProperties": {"type": "string"}}}},
                "podTargetLabels": {"type": "array", "items": {"type": "string"}},
                "podMetricsEndpoints": {"type": "array", "minItems": 1, "items": {
                    "type": "object", "additionalProperties": False,
                    "properties": {"port": {"type": "string"}, "path": {"type": "string"}, "interval": {"type": "string"}}}},
            },
        },
    },
}


@pytest.fixture(scope="module", params=CASES)
def case(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def objects(case) -> list[dict]:
    return render(values_of(case))


def test_lint_finds_nothing(case):
    report = helm_python.lint(CHART, values_of(case), strict=True, namespace="llm")
    severe = [message for message in report["messages"] if message["severity"] > 1]
    assert not severe and not report["errors"], report


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, NEWEST_KUBERNETES])
def test_kubernetes_takes_every_object(objects, version):
    for found in objects:
        if found["kind"] == "PodMonitor":
            jsonschema.validate(found, POD_MONITOR)
        elif version == NEWEST_KUBERNETES or "image" not in {key for volume in volumes_of(found) for key in volume}:
            kubernetes_validate.validate(found, version, strict=True)


def volumes_of(found: dict) -> list[dict]:
    return found["spec"]["template"]["spec"].get("volumes", []) if found["kind"] == "Deployment" else []


def test_a_misspelt_field_is_not_taken_for_valid(objects):
    wrong = merged(deployment(objects, "gateway"), spec={"replica": 2})
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, NEWEST_KUBERNETES, strict=True)


def test_names_are_unlike_and_short_enough(objects):
    names = [(found["kind"], found["metadata"]["name"]) for found in objects]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for _, name in names)


def test_the_grace_covers_pre_stop_and_drain(objects):
    for found in of_kind(objects, "Deployment"):
        pod, main = found["spec"]["template"]["spec"], container(found)
        drain = next(float(flag.partition("=")[2]) for flag in main["args"] if flag.startswith("--drain-seconds="))
        pre_stop = main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod["terminationGracePeriodSeconds"] >= pre_stop + drain + 5, found["metadata"]["name"]


def test_a_rollout_waits_as_long_as_a_start_may_take(objects):
    for found in of_kind(objects, "Deployment"):
        startup = container(found).get("startupProbe", {"periodSeconds": 0, "failureThreshold": 0})
        assert found["spec"].get("progressDeadlineSeconds", 600) > startup["periodSeconds"] * startup["failureThreshold"]


def test_pods_are_hardened(objects):
    for found in of_kind(objects, "Deployment"):
        pod, main = found["spec"]["template"]["spec"], container(found)
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] >= 10000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"] and not pod["enableServiceLinks"]
        assert main["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not main["securityContext"]["allowPrivilegeEscalation"]
        assert all(mount.get("readOnly") or mount["name"] == "shared-memory" for mount in main.get("volumeMounts", []))


def test_services_select_the_pods_and_their_ports(objects):
    deployments = of_kind(objects, "Deployment")
    for service in of_kind(objects, "Service"):
        selector = service["spec"]["selector"].items()
        chosen = [found for found in deployments if selector <= found["spec"]["template"]["metadata"]["labels"].items()]
        assert chosen, service["metadata"]["name"]
        for found in chosen:
            names = {port["name"]: port["containerPort"] for port in container(found)["ports"]}
            assert all(names[port["targetPort"]] == port["port"] for port in service["spec"]["ports"])
            assert "admin" not in {port["targetPort"] for port in service["spec"]["ports"]}  # never exposed


def test_every_deployment_has_a_disruption_budget(objects):
    selectors = [found["spec"]["selector"] for found in of_kind(objects, "Deployment")]
    assert sorted(map(str, selectors)) == sorted(str(found["spec"]["selector"]) for found in of_kind(objects, "PodDisruptionBudget"))


def test_a_new_chart_alone_restarts_no_pod(objects):
    for found in of_kind(objects, "Deployment"):
        assert found["spec"]["template"]["metadata"]["labels"].items() >= found["spec"]["selector"]["matchLabels"].items()
        assert "helm.sh/chart" not in found["spec"]["template"]["metadata"]["labels"]


def test_a_worker_for_each_model():
    objects = render(values_of("gpu"))
    workers = [found for found in of_kind(objects, "Deployment")
               if found["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"]
    assert [found["metadata"]["labels"]["swiftlet.model"] for found in workers] == ["r1-1b5", "large"]
    first, second = map(container, workers)
    assert first["resources"]["limits"]["nvidia.com/gpu"] == 1 and second["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert "--device=cuda" in first["args"] and "--tensor-parallel-size=2" in second["args"]
    assert first["image"].startswith("swiftlet-worker-cuda:")
    assert container(deployment(objects, "tokenizer"))["args"][-2:] == [
        "--model=deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B=/models/r1-1b5", "--model=large=/models/large"]


@pytest.mark.parametrize("changes, named", [
    ({"gatway": {}}, ["'gatway'", "value must be 'gateway'"]),
    ({"gateway": {"replica": 3}}, ["/gateway", "'replica'", "value must be 'replicas'"]),
    ({"gateway": {"replicaCount": 3}}, ["value must be 'replicas'"]),
    ({"podMonitor": {"enable": True}}, ["/podMonitor", "value must be 'enabled'"]),
    ({"autoscaling": {}}, ["'autoscaling'", "value must be one of", "'gateway'", "'podMonitor'"]),  # like none: all of them
    ({"gateway": {"replicas": "3"}}, ["/gateway/replicas", "integer"]),
    ({"gateway": {"flags": {"max-request": 3}}}, ["/gateway/flags", "'max-request'", "value must be 'max-requests'"]),
    ({"worker": {"flags": {"maxNumSeqs": 3}}}, ["value must be 'max-num-seqs'"]),
    ({"gateway": {"flags": {"port": 80}}}, ["'port'"]),
    ({"worker": {"flags": {"dtype": "fp8"}}}, ["/worker/flags/dtype", "'bfloat16'"]),
    ({"worker": {"flags": {"gpu-memory-utilization": 1.5}}}, ["/worker/flags/gpu-memory-utilization"]),
    ({"models": []}, ["/models"]),
    ({"models": [{"name": "demo"}]}, ["/models/0", "'volume'"]),
    ({"models": [{"name": "demo", "volme": {"hostPath": {"path": "/m"}}}]}, ["/models/0", "value must be 'volume'"]),
    ({"models": [{"name": "Demo", "volume": {"hostPath": {"path": "/m"}}}]}, ["/models/0/name"]),
    ({"models": [{"name": "demo", "volume": {"hostPath": {"path": "/m"}, "nfs": {"server": "a", "path": "/m"}}}]},
     ["/models/0/volume"]),
    ({"models": [{"name": "demo", "volume": {"hostPath": {"path": "/m"}}}] * 2}, ["models", "demo", "twice"]),
])
def test_wrong_values_are_refused_by_name(changes, named):
    with pytest.raises(helm_python.HelmError) as refusal:
        render(merged(values_of("minimal"), **changes))
    assert all(word in str(refusal.value) for word in named), refusal.value


def test_the_default_values_alone_ask_for_a_model():
    with pytest.raises(helm_python.HelmError, match="/models"):
        render({})


MAKE_SCHEMA = script(ROOT / "helm" / "make_schema")


def test_the_schema_is_the_one_that_make_schema_writes():
    assert MAKE_SCHEMA.TARGET.read_text() == MAKE_SCHEMA.text(), "run helm/make_schema"


def named(chain: dict, key: str) -> str | None:
    """The key that Helm's message names for an unknown one; None: it lists all."""
    chain = chain["else"]
    while "if" in chain:
        like = MAKE_SCHEMA.SCHEMA["definitions"][chain["if"]["$ref"].rpartition("/")[2]]["pattern"]
        chain = chain["then" if re.search(like, key) else "else"]
    return chain.get("const")


def slips(name: str):
    for at in range(len(name)):
        before, letter, after = name[:at], name[at], name[at + 1:]
        yield from (before + after, before + "q" + after, before + "q" + letter + after, before + letter.swapcase() + after,
                    before + after[:1] + letter + after[1:])
    yield name + "q"


def chains(schema):
    if isinstance(schema, dict):
        if "propertyNames" in schema:
            yield schema["propertyNames"]
        for key, value in schema.items():
            yield from chains(value if key != "propertyNames" else None)
    elif isinstance(schema, list):
        for value in schema:
            yield from chains(value)


def test_every_key_with_one_slip_is_told_which_is_meant():
    seen = 0
    for chain in {str(chain): chain for chain in chains(MAKE_SCHEMA.SCHEMA)}.values():
        names, meant = chain["if"]["enum"], collections.defaultdict(set)
        for name in names:
            for wrong in slips(name):
                meant[wrong].add(name)
        for wrong in meant.keys() - names:
            seen += 1
            assert named(chain, wrong) in meant[wrong], (wrong, named(chain, wrong), meant[wrong])
    assert seen > 1000


@pytest.mark.parametrize("program", ["gateway", "tokenizer", "worker"])
def test_every_flag_is_the_charts_or_in_the_values(binaries, program):
    shown = subprocess.run([binaries / f"swiftlet-{program}", "--help"], capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"^ +--([a-z0-9-]+)", shown, re.MULTILINE))
    in_values = set(getattr(MAKE_SCHEMA, f"{program.upper()}_FLAGS"))
    by_the_chart = SET_BY_THE_CHART["*"] | SET_BY_THE_CHART[program]
    assert not in_values & by_the_chart
    assert not flags - in_values - by_the_chart, "a new flag: add it to helm/make_schema and run that, or list it above"
    assert not in_values - flags, "no flag any more: take it from helm/make_schema and run that"


ABSENT = "/nowhere/at/all"


def bounds(program: str) -> dict[str, dict]:
    return {name: rule for name, rule in getattr(MAKE_SCHEMA, f"{program.upper()}_FLAGS").items() if rule.get("type") in ("integer", "number")}


def last_line(binaries, program: str, *flags: str) -> str:
    """Of a program that cannot start."""
    ports = ["--port=0", "--admin-port=0"] + (["--grpc-port=0"] if program == "gateway" else [])
    ended = subprocess.run([binaries / f"swiftlet-{program}", "--host=127.0.0.1", *ports, *flags], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 78, ended.stderr
    return ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("program, needed", [("gateway", ()), ("tokenizer", ("--model",)), ("worker", ("--device=cpu", "--model"))])
def test_what_the_schema_refuses_the_program_refuses(binaries, checkpoint, program, needed):
    for name, rule in bounds(program).items():
        if name == "gpu-memory-utilization":  # read on a GPU alone
            continue
        beyond = [rule[end] + step for end, step in (("minimum", -1), ("maximum", 1)) if end in rule]
        assert beyond, name
        for value in beyond:
            line = last_line(binaries, program, *needed, *([checkpoint] if needed else []), f"--{name}={value}")
            assert f"--{name}" in line, (value, line)


@pytest.mark.parametrize("program, absent", [("gateway", ("--ssl-keyfile=x", "--ssl-certfile")), ("tokenizer", ("--model",)), ("worker", ("--model",))])
@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_the_program_takes_what_the_schema_takes(binaries, program, absent, end):
    """All flags at once, beside one thing that is not there."""
    given = [f"--{name}={rule[end]}" for name, rule in bounds(program).items() if end in rule]
    assert ABSENT in last_line(binaries, program, *absent, ABSENT, *given)
