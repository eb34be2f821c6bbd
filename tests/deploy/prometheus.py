"""A real Prometheus on this machine, with the configuration of deploy/prometheus and other addresses."""

import json
import pathlib
import shutil
import subprocess
import urllib.parse

import yaml
from processes import free_port, get, wait_until

from chart import ROOT


def program(name: str) -> str | None:
    """prometheus or promtool, installed or unpacked by make_prometheus."""
    return shutil.which(name) or shutil.which(name, path=ROOT / "build" / ".prometheus" / "usr" / "bin")


class Prometheus:
    """`targets`: by the job names of the configuration, the addresses that stand for what DNS would say."""

    def __init__(self, folder: pathlib.Path, targets: dict[str, list[str]], interval: str):
        configuration = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
        configuration["global"]["scrape_interval"] = interval
        for job in configuration["scrape_configs"]:
            ports = {lookup["port"] for lookup in job.pop("dns_sd_configs")}
            assert ports == {int(target.rpartition(":")[2]) for target in targets[job["job_name"]]}
            job["static_configs"] = [{"targets": targets[job["job_name"]]}]
        self.port = free_port()
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self._log = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        wait_until(self._ready, 30, "Prometheus is ready")

    def _ready(self) -> bool:
        assert self._process.poll() is None, "Prometheus ended"
        try:
            return get(self.port, "/-/ready")[0] == 200
        except OSError:
            return False

    def query(self, expression: str) -> list[dict]:
        status, text = get(self.port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        answer = json.loads(text)
        assert status == 200 and answer["status"] == "success", (expression, text)
        return answer["data"]["result"]

    def metric_names(self) -> set[str]:
        return set(json.loads(get(self.port, "/api/v1/label/__name__/values")[1])["data"])

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()
