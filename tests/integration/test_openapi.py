"""The OpenAPI document is one, and the gateway does what it says: schemathesis makes up requests from it, good and bad."""

import json
import os
import pathlib
import subprocess
import sys

import openapi_spec_validator
import pytest

from processes import Cluster, get

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 45


@pytest.fixture(scope="module")
def strict_cluster(binaries, checkpoint, tmp_path_factory):
    """What is not in the document is refused: schemathesis makes up names too."""
    running = Cluster(binaries, checkpoint, tmp_path_factory.mktemp("strict"), gateway_flags=("--strict-parameters",))
    yield running
    running.wait_idle()
    running.stop()


@pytest.fixture(scope="module")
def document(strict_cluster) -> dict:
    status, text = get(strict_cluster.port, "/openapi.json")
    assert status == 200
    return json.loads(text)


def test_the_document_is_valid(document, cluster):
    openapi_spec_validator.validate(document)
    lenient = json.loads(get(cluster.port, "/openapi.json")[1])
    openapi_spec_validator.validate(lenient)
    assert "additionalProperties" not in lenient["components"]["schemas"]["ChatCompletionRequest"]


def with_model(value):
    """`value` with the one model that is served wherever a model is named: hardly a request would get past that else."""
    if isinstance(value, list):
        return [with_model(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: with_model(one) for key, one in value.items()}
    properties = made.get("properties")
    if isinstance(properties, dict) and isinstance(properties.get("model"), dict) and "id" not in properties:
        properties["model"] = {"type": "string", "enum": ["demo"]}
    if made.get("in") == "path" and made.get("name") in ("model", "name"):
        made["schema"] = {"type": "string", "enum": ["demo"]}
    return made


def test_schemathesis_finds_nothing(strict_cluster, document, tmp_path):
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(with_model(document)))
    (tmp_path / "schemathesis.toml").write_text("""
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503", "504"]
[checks.negative_data_rejection]
expected-statuses = ["400", "404", "406", "413", "415"]
""")
    run = subprocess.run(
        [pathlib.Path(sys.executable).with_name("st"), "run", described, "--url", f"http://127.0.0.1:{strict_cluster.port}",
         "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
                     "response_schema_conformance,negative_data_rejection,every_part_conforms",
         "--phases", "coverage,fuzzing", "--max-time", str(SECONDS), "--seed", "1", "--no-shrink",
         "--continue-on-failure", "--request-timeout", "20", "--suppress-health-check", "all", "--warnings", "off"],
        # one thread of it: two run into a fault of CPython 3.11's ast module
        cwd=tmp_path, capture_output=True, text=True, timeout=3 * SECONDS,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE), "NO_COLOR": "1"})
    assert run.returncode == 0, run.stdout[-20000:] + run.stderr[-3000:]
    operations = sum(len(item) for item in document["paths"].values())
    assert f"Tested: {operations}\n" in run.stdout, run.stdout[-3000:]
