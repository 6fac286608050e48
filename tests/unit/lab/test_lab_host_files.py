"""A host's files and the command that boots it."""

from __future__ import annotations

from ansible.module_utils.dynfleet import lab_host_files as texts
from ansible.module_utils.dynfleet.lab import Bind, Host, Lab

LAB = Lab("dynlab0", "10.77.0.0/24", "/var/lib/dynamo-lab", "/var/cache/dynamo-lab")
GPU1 = Host("gpu1", "10.77.0.12", "trixie", binds=(Bind("/srv/a:b", "/data", True),))
FLEET = [Host("control", "10.77.0.11", "bookworm"), GPU1]
KEYS = (b"private\n", b"public\n")


def around(**changes: object) -> texts.Surroundings:
    plain: dict[str, object] = {
        "resolver": "nameserver 10.0.0.2\n",
        "mtu": 1400,
        "proxies": {},
        "own_certificates": False,
        "authorized_key": "ssh-ed25519 AAAA lab\n",
    }
    return texts.Surroundings(**{**plain, **changes})  # type: ignore[arg-type]


def files(**changes: object) -> dict[str, texts.File]:
    where = around(**changes)
    return texts.host_files(LAB, GPU1, FLEET, around=where, host_key=KEYS, topology=None)


def test_a_plain_machine_leaves_the_environment_empty() -> None:
    found = files()
    assert found["/etc/environment"].content == b""
    assert found["/etc/systemd/system.conf.d/lab.conf"].content is None
    assert found["/etc/apt/apt.conf.d/90lab-proxy"].content is None
    assert found[texts.TOPOLOGY].content is None


def test_proxies_and_authorities_reach_logins_services_and_apt() -> None:
    found = files(proxies={"http_proxy": "http://u%40x@proxy:1"}, own_certificates=True)
    assert b"SSL_CERT_FILE=/etc/ssl/certs/" in (found["/etc/environment"].content or b"")
    unit = found["/etc/systemd/system.conf.d/lab.conf"].content or b""
    assert b'"http_proxy=http://u%%40x@proxy:1"' in unit
    apt = found["/etc/apt/apt.conf.d/90lab-proxy"].content
    assert apt == b'Acquire::http::Proxy "http://u%40x@proxy:1";\n'


def test_every_host_is_known_by_name_and_has_the_machines_mtu() -> None:
    found = files()
    assert b"10.77.0.11 control\n10.77.0.12 gpu1\n" in (found["/etc/hosts"].content or b"")
    network = found["/etc/systemd/network/10-lab.network"].content or b""
    assert b"MTUBytes=1400\n" in network
    assert b"Address=10.77.0.12/24\nGateway=10.77.0.1\n" in network


def test_private_files_are_private_and_identity_is_stable() -> None:
    found = files()
    assert found["/etc/ssh/ssh_host_ed25519_key"].mode == 0o600
    assert found["/root/.ssh/authorized_keys"].mode == 0o600
    assert found["/etc/machine-id"] == files()["/etc/machine-id"]
    assert len(found["/etc/machine-id"].content or b"") == 33


def test_a_file_read_at_boot_only_asks_for_a_power_cycle() -> None:
    boot = {path for path, file in files().items() if file.boot}
    assert "/etc/systemd/network/10-lab.network" in boot
    assert not boot & {texts.TOPOLOGY, "/etc/hosts", "/etc/resolv.conf"}


def test_the_command_names_the_root_and_escapes_binds() -> None:
    command = texts.nspawn_command(LAB, GPU1, "/var/lib/dynamo-lab/hosts/gpu1/root", "/cache/apt")
    assert texts.root_argument("/var/lib/dynamo-lab/hosts/gpu1/root") in command
    assert "--bind-ro=/data:/srv/a\\:b" in command
    assert "--bind=/cache/apt:/var/cache/apt/archives" in command
    assert "--machine=dynlab0-gpu1" in command


def test_under_systemd_the_host_is_a_service_that_reboots() -> None:
    command = texts.unit_command(LAB, GPU1, ["systemd-nspawn", "--boot"])
    assert command[-3:] == ["--", "systemd-nspawn", "--boot"]
    assert "--property=RestartForceExitStatus=133" in command
    assert "--setenv=SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1" in command
