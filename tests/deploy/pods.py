"""Rendered Pods as processes of this machine: the container's own arguments and environment, an address of 127.0.0.0/8 for
each Pod in place of its network, a hosts file that the resolver reads in place of the cluster's DNS, and what a kubelet does
at a Pod's end. What a container's file system and user forbid is not tried here."""

import itertools
import json
import math
import os
import pathlib
import random
import socket
import time

from processes import Program, get, wait_until

from chart import container, of_kind

RESOLVER = "libnss_wrapper.so"  # reads host names from NSS_WRAPPER_HOSTS
KEY = "sk-of-the-deploy-tests"


class Network:
    """A /24 of 127.0.0.0/8 for this run alone: Pods have the ports of the chart, and another run may be on this machine."""

    def __init__(self):
        self._claim = socket.socket()  # held open; of two runs one finds it taken
        for _ in range(1000):
            self._prefix = f"127.{random.randint(16, 254)}.{random.randint(0, 254)}"
            try:
                self._claim.bind((f"{self._prefix}.254", 8002))
                break
            except OSError:
                continue
        else:
            raise AssertionError("no free part of 127.0.0.0/8")
        self._last = itertools.count(1)

    def address(self) -> str:
        return f"{self._prefix}.{next(self._last)}"


network = Network()


def make_keys(folder: pathlib.Path, name: str = "keys.jsonl") -> pathlib.Path:
    """The Secret of apiKeys, as a folder."""
    folder.mkdir()
    (folder / name).write_text(json.dumps({"name": "tests", "key": KEY}) + "\n")
    return folder


def why_it_did_not_start(component: str, output: str) -> str:
    """The last line of a process that the chart has log in JSON."""
    last = json.loads(output.strip().splitlines()[-1])
    assert last["process"] == component and last["level"] == "error" and last["exit_status"] != 0, last
    return last["error"]


def cores(quantity: str) -> int:
    """As the downward API rounds them."""
    amount = float(quantity[:-1]) / 1000 if str(quantity).endswith("m") else float(quantity)
    return math.ceil(amount)


class Cluster:
    """The names of the rendered headless Services, each standing for the ready Pods that it selects."""

    def __init__(self, objects: list[dict], binaries: pathlib.Path, folders: dict[str, pathlib.Path], logs: pathlib.Path):
        self.objects, self.binaries, self.folders, self.logs = objects, binaries, folders, logs
        self.hosts, self.pods = logs / "hosts", []
        self._written = int(time.time()) - 3600
        self.publish()

    def publish(self) -> None:
        lines = []
        for service in of_kind(self.objects, "Service"):
            meta, selector = service["metadata"], service["spec"]["selector"].items()
            lines += [f"{pod.address} {meta['name']}.{meta['namespace']}.svc" for pod in self.pods
                      if pod.in_service and selector <= pod.labels.items()]
        self.hosts.with_suffix(".new").write_text("".join(line + "\n" for line in lines))
        self._written += 1  # the resolver looks at whole seconds
        os.utime(self.hosts.with_suffix(".new"), (self._written, self._written))
        self.hosts.with_suffix(".new").rename(self.hosts)

    def start(self, deployment: dict) -> "Pod":
        pod = Pod(self, deployment)
        self.pods.append(pod)
        return pod

    def install(self) -> dict[str, list["Pod"]]:
        """All Deployments at once, as `helm install` does: nothing waits for another. By component, when all are ready."""
        pods = {component: [] for component in ("tokenizer", "worker", "gateway")}
        for found in of_kind(self.objects, "Deployment"):
            started = [self.start(found) for _ in range(found["spec"]["replicas"])]
            pods[started[0].component] += started
        for pod in itertools.chain(*pods.values()):
            pod.wait_ready()
        return pods

    def kill(self) -> None:
        for pod in self.pods:
            if pod.program.running():
                pod.program.process.kill()


class Pod:
    def __init__(self, cluster: Cluster, deployment: dict):
        template = deployment["spec"]["template"]
        self.cluster, self.spec, self.container = cluster, template["spec"], container(deployment)
        self.labels = template["metadata"]["labels"]
        self.component = self.labels["app.kubernetes.io/component"]
        self.in_service = False
        self.address = network.address()
        log = cluster.logs / f"{self.component}-{self.address}.log"
        self.program = Program(cluster.binaries / f"swiftlet-{self.component}", *self.arguments(), f"--host={self.address}",
                               log=log, environment=self.environment())

    def arguments(self) -> list[str]:
        """The rendered ones; a mounted folder is where the test has it."""
        arguments = []
        for argument in self.container["args"]:
            for mount in self.container.get("volumeMounts", []):
                path = mount["mountPath"]
                flag, equals, value = argument.rpartition("=")
                if value == path or value.startswith(path + "/"):
                    argument = flag + equals + str(self.cluster.folders[mount["name"]]) + value[len(path):]
            arguments.append(argument)
        return arguments

    def environment(self) -> dict[str, str]:
        environment = {"LD_PRELOAD": RESOLVER, "NSS_WRAPPER_HOSTS": str(self.cluster.hosts)}
        for variable in self.container["env"]:
            if "value" in variable:
                environment[variable["name"]] = variable["value"]
            else:
                assert variable["valueFrom"] == {"resourceFieldRef": {"resource": "limits.cpu"}}
                environment[variable["name"]] = str(cores(self.container["resources"]["limits"]["cpu"]))
        return environment

    def port(self, name: str) -> int:
        return next(port["containerPort"] for port in self.container["ports"] if port["name"] == name)

    def probe(self, kind: str) -> bool:
        """One look, judged as a kubelet does; `kind`: startupProbe, livenessProbe, readinessProbe."""
        ask = self.container[kind]["httpGet"]
        try:
            return 200 <= get(self.port(ask["port"]), ask["path"], self.address)[0] < 400
        except OSError:
            return False

    def reason(self) -> str:
        ask = self.container["readinessProbe"]["httpGet"]
        return get(self.port(ask["port"]), ask["path"], self.address)[1]

    def wait_ready(self) -> None:
        def answers(kind: str) -> bool:
            assert self.program.running(), f"{self.component} ended; its log ends:\n{self.program.output()[-2000:]}"
            return self.probe(kind)

        if "startupProbe" in self.container:
            allowed = self.container["startupProbe"]["periodSeconds"] * self.container["startupProbe"]["failureThreshold"]
            wait_until(lambda: answers("startupProbe"), allowed, f"{self.component}'s startup probe succeeds")
        wait_until(lambda: answers("readinessProbe"), 60, f"{self.component} is ready")
        assert self.probe("livenessProbe")
        self.in_service = True
        self.cluster.publish()

    def delete(self) -> float:
        """Out of the Services, preStop, SIGTERM; the seconds until it ended with 0, within the grace."""
        self.in_service = False
        self.cluster.publish()
        begin = time.monotonic()
        time.sleep(self.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0))
        assert self.program.running() and self.probe("livenessProbe"), f"{self.component} fell during preStop"
        self.program.terminate()
        left = self.spec["terminationGracePeriodSeconds"] - (time.monotonic() - begin)
        status = self.program.wait(left)
        assert status == 0, f"{self.component} ended with {status}; its log ends:\n{self.program.output()[-3000:]}"
        return time.monotonic() - begin
