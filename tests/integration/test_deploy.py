"""What is in deploy/, as hadolint, Helm and the schemas of Kubernetes judge it; and what they cannot know."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from blackbox.cli import COMMANDS, command_parser
from blackbox.server.auth.credentials import verify
from blackbox.server.auth.web_config import load_web_config
from blackbox.sources.kubelet import KUBELET_SOCKET
from tests.certificates import make_certificate
from tests.running_server import RunningServer
from tests.tools import missing
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/blackbox"
MANIFEST = DEPLOY / "kubernetes/blackbox.yaml"
TOOLS = ROOT / ".venv-deploy/bin"
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "open": {"auth": {"none": True}, "port": 7000},
    "agents": {"agents": True, "recording": {"hostPath": "/var/lib/blackbox", "limit": "10G"}},
    "more": {
        "runtimeClassName": "nvidia",
        "arguments": ["--threshold", "90", "--allowed-host=gpu.example.org"],
        "image": {"repository": "example.org/blackbox", "tag": "0.1.0"},
        "nodeSelector": {},
        "tolerations": [],
    },
    "kubelet": {"kubelet": True},
    "fleet": {
        "podNames": True,
        "recording": {"hostPath": "/var/lib/blackbox"},
        "fleet": {
            "url": "https://db.example.org:8443",
            "user": "gpu",
            "passwordSecret": "fleet",
            "caConfigMap": "fleet-ca",
            "database": "vram",
            "tenant": "acme",
            "users": "none",
            "read": {"url": "https://db.example.org:8443", "user": "reader", "passwordSecret": "fleet-reader"},
        },
    },
    "fleet by token": {"fleet": {"url": "https://db.example.org:8443", "tokenSecret": "fleet"}},
    "fleet without an address": {"fleet": {"user": "gpu", "passwordSecret": "fleet", "caConfigMap": "fleet-ca"}},
}


def run(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    program = TOOLS / name
    if not program.exists():
        missing(f"no {name} in .venv-deploy: ./run deploy")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


def rendered(values: dict[str, Any]) -> str:
    done = run("python", ROOT / "tests/render_chart.py", CHART, json.dumps(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(text: str) -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def pod(text: str) -> dict[str, Any]:
    return documents(text)["DaemonSet"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_chart_renders_to_what_kubernetes_takes(variant: str, tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered(VARIANTS[variant]))
    done = run("kubernetes-validate", "--strict", "--quiet", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_misspelt_key_would_be_found(tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered({}).replace("hostPID:", "hostPid:"))
    assert run("kubernetes-validate", "--strict", "--quiet", file).returncode != 0


@pytest.mark.parametrize(
    "values",
    [
        {"auth": {"tokenSecret": ""}},
        {"port": 0},
        {"agent": True},
        {"recording": {"limit": "much"}},
        {"fleet": {"url": "http://db.example.org:8123"}},
        {"fleet": {"url": "https://user:secret@db.example.org:8443"}},
        {"fleet": {"passwordSecret": "fleet"}},
        {"fleet": {"user": "gpu", "passwordSecret": "fleet", "tokenSecret": "fleet"}},
        {"fleet": {"users": "all"}},
        {"fleet": {"read": {"passwordSecret": "fleet"}}},
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    assert run("python", ROOT / "tests/render_chart.py", CHART, json.dumps(values)).returncode != 0


def test_the_plain_manifest_is_the_chart_with_its_defaults() -> None:
    assert MANIFEST.read_text() == rendered({}), "out of date: ./run deploy --write"


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_arguments_are_those_of_the_server(variant: str) -> None:
    serve, *words = pod(rendered(VARIANTS[variant]))["containers"][0]["args"]
    assert serve == "serve"
    command = next(command for command in COMMANDS if command.name == "serve")
    parsed = command_parser(command).parse_args(words)
    assert parsed.host == ["0.0.0.0"]
    assert (parsed.token_file is None) == (parsed.no_auth is not None)


def test_every_file_of_the_arguments_is_mounted_and_secrets_are_nobody_elses() -> None:
    spec = pod(rendered(VARIANTS["fleet"]))
    (container,) = spec["containers"]
    _, *words = container["args"]
    parsed = command_parser(next(one for one in COMMANDS if one.name == "serve")).parse_args(words)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {Path(mount["mountPath"]): mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts.values()) == set(volumes)
    for file in (parsed.fleet_password_file, parsed.fleet_read_password_file):
        secret = volumes[mounts[Path(file).parent]]["secret"]
        # the kubelet adds reading for the pod's group, 10001, which is the server's own
        assert secret["defaultMode"] == 0o400
    assert volumes[mounts[Path(parsed.fleet_ca).parent]]["configMap"] == {"name": "fleet-ca"}
    assert volumes[mounts[Path("/var/log/pods")]]["hostPath"]["path"] == "/var/log/pods"
    assert (parsed.fleet_users, parsed.fleet_tenant, parsed.fleet_database) == ("none", "acme", "vram")


def test_without_an_address_nothing_is_shipped_or_mounted() -> None:
    assert pod(rendered(VARIANTS["fleet without an address"])) == pod(rendered({}))


def test_the_kubelets_socket_is_reached_by_its_directory_and_as_root_alone() -> None:
    plain, asking = pod(rendered({})), pod(rendered(VARIANTS["kubelet"]))
    (container,) = asking["containers"]
    directory = str(KUBELET_SOCKET.default.parent)
    mount = {"name": "pod-resources", "mountPath": directory, "readOnly": True}
    volume = {"name": "pod-resources", "hostPath": {"path": directory, "type": "Directory"}}
    assert [one for one in container["volumeMounts"] if one not in plain["containers"][0]["volumeMounts"]] == [mount]
    assert [one for one in asking["volumes"] if one not in plain["volumes"]] == [volume]
    assert asking["securityContext"]["runAsUser"] == 0
    assert container["securityContext"] == plain["containers"][0]["securityContext"]


def test_a_pod_sees_the_host_and_may_do_little() -> None:
    spec = pod(MANIFEST.read_text())
    (container,) = spec["containers"]
    assert spec["hostPID"] is True
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "utility"} in container["env"]


def test_probes_are_answered_without_the_token_that_all_else_needs(tmp_path: Path) -> None:
    (container,) = pod(MANIFEST.read_text())["containers"]
    token = tmp_path / "token"
    token.write_text("t0k3n")
    with RunningServer(tmp_path, "--demo", "--token-file", str(token), token="t0k3n") as server:
        for probe in ("livenessProbe", "readinessProbe"):
            path = container[probe]["httpGet"]["path"]
            assert status(f"{server.url}{path}") == 200
        assert status(f"{server.url}/vram") == 401


def status(url: str) -> int:
    return requests.get(url, timeout=PATIENCE_SECONDS).status_code


def test_hadolint_has_nothing_to_say_against_the_image() -> None:
    done = run("hadolint", "--no-color", "--failure-threshold", "style", DEPLOY / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_small_hashed_and_no_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    last = lines[[index for index, line in enumerate(lines) if line.startswith("FROM ")][-1] :]
    assert last[0].endswith("-slim")
    (user,) = (line.split()[1] for line in last if line.startswith("USER "))
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert "NVIDIA_DRIVER_CAPABILITIES=utility" in text
    assert "PYTHONDONTWRITEBYTECODE" not in text
    assert any("compileall" in line for line in last)
    for install in re.findall(r"pip install (.*?)(?:&&|$)", "\n".join(lines), re.M):
        assert "--require-hashes" in install or "--no-deps" in install


def test_the_image_is_built_from_what_there_is() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists(), name
                assert f"!{name.rstrip('/')}" in ignored


def test_the_example_of_a_web_config_is_taken_by_the_server(tmp_path: Path) -> None:
    text = (DEPLOY / "web-config.yml").read_text()
    assert verify(yaml.safe_load(text)["basic_auth_users"], "prometheus", b"change me")
    tls = make_certificate(tmp_path, "localhost")
    text = text.replace("/etc/blackbox/tls.crt", str(tls.cert_file)).replace("/etc/blackbox/tls.key", str(tls.key_file))
    config = tmp_path / "web.yml"
    config.write_text(text)
    assert load_web_config(config).basic_auth_users.keys() == {"prometheus"}
