"""The chart as Helm's own engine renders it."""

import copy
import importlib.machinery
import importlib.util
import pathlib

import helm_python
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "swiftlet"
VALUES = ROOT / "tests" / "deploy" / "values"


def values_of(name: str) -> dict:
    return yaml.safe_load((VALUES / f"{name}.yaml").read_text())


def merged(values: dict, **changes) -> dict:
    """`values` with `changes` over them; keys within keys as with Helm's own files."""
    result = copy.deepcopy(values)
    for key, value in changes.items():
        result[key] = merged(result.get(key, {}), **value) if isinstance(value, dict) else value
    return result


def render(values: dict) -> list[dict]:
    """Every object, as Kubernetes would be given it."""
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(values, name="demo", namespace="llm")
    return [document for name, text in files.items() if name.endswith(".yaml") for document in yaml.safe_load_all(text) if document]


def script(path: pathlib.Path):
    """A program without .py, as a module."""
    loader = importlib.machinery.SourceFileLoader(path.name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(path.name, loader))
    loader.exec_module(module)
    return module


def of_kind(objects: list[dict], kind: str) -> list[dict]:
    return [found for found in objects if found["kind"] == kind]


def deployment(objects: list[dict], component: str) -> dict:
    """The first Deployment of the component."""
    return next(found for found in of_kind(objects, "Deployment")
                if found["metadata"]["labels"]["app.kubernetes.io/component"] == component)


def container(deployment_object: dict) -> dict:
    return deployment_object["spec"]["template"]["spec"]["containers"][0]
