"""The real engine's unit, which no lab host can run: rendered, checked by systemd, and guarded."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
import service
import yaml

pytestmark = pytest.mark.lab
# Everything that systemd, a shell or JSON would take for more than a letter.
NAME = "a \"b\" 'c' 100% %n $HOME ${X} `id` back\\slash \u00e9 \U0001f600"
OVERRIDES = '--hf-overrides={"a b": ["$HOME", "%h", "\\\\"]}'
SETTINGS = {
    "worker_engine": "vllm",
    "worker_model_name": NAME,
    "worker_cpu_cache_gib": 2,
    "worker_ssd_cache_gib": 3,
    "placement_ssd_roots": ["/nvme0/flexkv", "/nvme1/flexkv"],
    "worker_gds": True,
    "worker_memory_gib": 64,
    "worker_extra_args": ["--enforce-eager", OVERRIDES],
}


def render(*options: str, host: str = "new", **settings: Any) -> dict[str, str]:
    """Files of a host, by path, as the worker role would write them."""
    run = service.play("tests/lab/render_worker.yml", "--check", "--diff", *options, **settings)
    assert run.rc == 0, run.output
    return {
        entry["after_header"]: entry["after"]
        for name, result in run.results("unit_set")
        if name == host
        for entry in result.get("diff") or []
        if "after_header" in entry
    }


@pytest.fixture(scope="module")
def rendered(deployed: service.Run) -> dict[str, str]:
    """The files for engine vllm."""
    return render(**SETTINGS)


def test_unit_is_bound_to_the_node_of_its_gpus(deployed: service.Run) -> None:
    plan = json.loads(service.ssh("new", "cat /etc/dynamo/plan.json"))
    # A recorded topology stands for hardware that is not there: only a live one is bound to.
    plan["source"] = "live"
    plan["workers"][1].update(numa_node=None, cpus=None, link="SYS")
    files = render(worker_plan=plan)
    dropins = [
        files[f"/etc/systemd/system/dynamo-worker@{index}.service.d/placement.conf"].splitlines()
        for index in (0, 1)
    ]
    assert f"CPUAffinity={plan['workers'][0]['cpus']}" in dropins[0]
    assert "NUMAPolicy=preferred" in dropins[0]
    assert f"NUMAMask={plan['workers'][0]['numa_node']}" in dropins[0]
    assert not [line for line in dropins[1] if line.startswith(("CPUAffinity", "NUMA"))]


def test_systemd_accepts_the_unit_without_a_word(rendered: dict[str, str]) -> None:
    unit = rendered["/etc/systemd/system/dynamo-worker@.service"]
    folder = "/root/rendered"
    commands = [f"rm -rf {folder}; mkdir {folder}; cd {folder}"]
    commands.append(f"printf %s {shlex.quote(unit)} > dynamo-worker@0.service")
    commands.append("systemd-analyze verify ./dynamo-worker@0.service 2>&1 || true")
    assert service.ssh("new", "; ".join(commands)) == ""
    # --threshold is in tenths.
    analyze = "systemd-analyze security --offline=true --threshold=20 ./dynamo-worker@0.service"
    assert "Overall exposure level" in service.ssh("new", f"cd {folder}; {analyze}")


def test_systemd_passes_names_and_arguments_on_as_they_are(rendered: dict[str, str]) -> None:
    """The unit's own lines, given to a program that says what it was given."""
    unit = rendered["/etc/systemd/system/dynamo-worker@.service"]
    name = unit.split("--served-model-name ")[1].split(" \\\n")[0]
    arguments = unit.split('  "--enforce-eager" \\\n')[1].split("\n")[0].strip()
    said = "/run/systemd/system/said.service"
    lines = ["[Service]", "Type=oneshot", "StandardOutput=file:/root/said"]
    lines += [f"ExecStart=/usr/bin/printf %%s\\\\n {name} {arguments}", ""]
    commands = [f"printf %s {shlex.quote(chr(10).join(lines))} > {said}", "systemctl daemon-reload"]
    commands += ["systemctl start said.service", "cat /root/said", f"rm {said} /root/said"]
    assert service.ssh("new", " && ".join(commands)).splitlines() == [NAME, OVERRIDES]


class Loader(yaml.SafeLoader):
    """Reads text that is marked with !unsafe as it is."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
TEXTS = service.PROJECT / "tests/fixtures/engine_texts.yml"


@pytest.mark.parametrize("host", ["old", "new"])
def test_systemd_gives_the_engine_its_texts_as_the_site_wrote_them(
    deployed: service.Run, host: str
) -> None:
    """An inline chat template and the site's own variables, by the unit's own lines."""
    wanted = yaml.load(TEXTS.read_text(), Loader)  # noqa: S506 - a safe one
    files = render("-e", f"@{TEXTS}", host=host)
    unit = files["/etc/systemd/system/dynamo-worker@.service"]
    first = unit.index('  "--chat-template"')
    arguments = unit[first : unit.index('"--enforce-eager"')].replace("\\\n", " ")
    # The file is root's alone, as one with secrets is, and the process is not root's.
    lines = ["[Service]", "Type=oneshot", "User=nobody", "StandardOutput=append:/root/said"]
    lines += [
        "EnvironmentFile=/root/said.env",
        "ExecStart=/usr/bin/env -0",
        f"ExecStart=/usr/bin/printf %%s\\\\0 {arguments}",
        "",
    ]
    said = "/run/systemd/system/said.service"
    contents = {said: "\n".join(lines), "/root/said.env": files["/etc/dynamo/worker-0.env"]}
    commands = [f"printf %s {shlex.quote(text)} > {path}" for path, text in contents.items()]
    commands += ["chmod 600 /root/said.env", "systemctl daemon-reload"]
    commands += ["systemctl start said.service", "cat /root/said"]
    try:
        heard = service.ssh(host, " && ".join(commands)).split("\0")
    finally:
        service.ssh(host, f"rm -f {said} /root/said*; systemctl daemon-reload")
    assert heard[-3:-1] == wanted["worker_extra_args"][:2]
    for name, value in wanted["worker_environment"].items():
        assert f"{name}={value}" in heard


def test_unit_and_environment_say_what_the_recipe_says(rendered: dict[str, str]) -> None:
    unit = rendered["/etc/systemd/system/dynamo-worker@.service"]
    for wanted in (
        "-m dynamo.vllm",
        "--tensor-parallel-size 2",
        '--kv-transfer-config \'{"kv_connector":"FlexKVConnectorV1","kv_role":"kv_both"}\'',
        '"endpoint":"ipc:///run/dynamo/worker-%i/kv-events"',
        "KillMode=mixed",
        "Restart=always",
        "LimitMEMLOCK=infinity",
    ):
        assert wanted in unit, wanted
    settings = [
        dict(
            line.split("=", 1)
            for line in rendered[f"/etc/dynamo/worker-{index}.env"].splitlines()
            if "=" in line and not line.startswith("#")
        )
        for index in range(4)
    ]
    assert settings[1]["FLEXKV_CPU_CACHE_GB"] == "2"
    assert settings[1]["FLEXKV_SSD_CACHE_DIR"].endswith("/1")
    assert settings[1]["FLEXKV_ENABLE_MPS"] == "0"
    assert settings[1]["FLEXKV_ENABLE_GDS"] == "1"
    assert settings[1]["CUFILE_ENV_PATH_JSON"] == "/etc/dynamo/cufile.json"
    # What FlexKV and Dynamo need to be different in each worker of a host.
    for name in (
        "CUDA_VISIBLE_DEVICES",
        "DYN_SYSTEM_PORT",
        "DYN_TCP_RPC_PORT",
        "FLEXKV_SERVER_RECV_PORT",
        "FLEXKV_SSD_CACHE_DIR",
        "FLEXKV_PY_METRICS_PORT",
        "FLEXKV_CPP_METRICS_PORT",
        "FLEXKV_LAYERWISE_EVENTFD_SOCKET",
        "HOME",
        "VLLM_PORT",
    ):
        assert len({worker[name] for worker in settings}) == 4, name


def test_no_memory_tier_is_vllm_without_flexkv(deployed: service.Run) -> None:
    files = render(worker_engine="vllm", worker_cpu_cache_gib=0)
    unit = files["/etc/systemd/system/dynamo-worker@.service"]
    assert "-m dynamo.vllm" in unit
    assert "--kv-events-config" in unit
    text = unit + "".join(files[f"/etc/dynamo/worker-{index}.env"] for index in range(4))
    assert "flexkv" not in text.lower()


def test_guard_refuses_other_links_than_planned(deployed: service.Run) -> None:
    recorded = "/etc/lab/gpu_topology"
    original = service.ssh("old", f"cat {recorded}")
    topology = json.loads(original)
    topology["links"][0][1] = topology["links"][1][0] = "SYS"
    before = service.main_pids()
    unit = "dynamo-worker@0.service"
    try:
        service.ssh("old", f"printf %s {shlex.quote(json.dumps(topology))} > {recorded}")
        service.ssh("old", f"systemctl restart {unit} || true")
        said = service.ssh("old", f"journalctl -u {unit} -n 30 -o cat")
        assert "NV18" in said
        assert "SYS" in said
        assert "playbooks/plan.yml" in said
        assert service.ssh("old", f"systemctl is-active {unit} || true").strip() != "active"
    finally:
        service.ssh("old", f"printf %s {shlex.quote(original)} > {recorded}")
    service.wait_active("old", unit, other_than="0")
    after = service.main_pids()
    assert {name for name in after if after[name] != before[name]} == {f"old: {unit}"}
