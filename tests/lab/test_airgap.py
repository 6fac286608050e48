"""From a bundle to a verified service on hosts that have no way out."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import service

pytestmark = pytest.mark.lab
INVENTORY = service.PROJECT / "tests" / "lab" / "airgap"
STATE = Path("/var/lib/dynamo-lab-airgap")
ADDRESSES = {"old": "10.84.0.11", "new": "10.84.0.12"}


def play(playbook: str, **variables: object) -> service.Run:
    return service.play(playbook, inventory=INVENTORY, **variables)


def ssh(host: str, command: str) -> str:
    return service.ssh(host, command, addresses=ADDRESSES, state=STATE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle, made on two hosts that have a network and are gone then."""
    path = tmp_path_factory.mktemp("bundle") / "lab.tar"
    play("playbooks/lab_down.yml")
    try:
        up = play("playbooks/lab_up.yml")
        assert up.rc == 0, up.output
        made = play("playbooks/bundle.yml", bundle=str(path))
        assert made.rc == 0, made.output
    finally:
        play("playbooks/lab_down.yml")
    yield path
    shutil.rmtree(path.parent)


@pytest.fixture(scope="module")
def cut_off(bundle: Path) -> Iterator[Path]:
    """Bare hosts without a way out; the bundle."""
    up = play("playbooks/lab_up.yml", lab_internet=False)
    assert up.rc == 0, up.output
    yield bundle
    down = play("playbooks/lab_down.yml")
    assert down.rc == 0, down.output


def test_bundle_is_what_its_sums_say(bundle: Path, tmp_path: Path) -> None:
    def check(directory: Path, file: str) -> None:
        subprocess.run(
            ["sha256sum", "--check", "--quiet", "--strict", file], cwd=directory, check=True
        )

    check(bundle.parent, f"{bundle.name}.sha256")
    with tarfile.open(bundle) as archive:
        archive.extractall(tmp_path, filter="data")
    check(tmp_path, "SHA256SUMS")
    for suite in ("bookworm", "trixie"):
        signed = tmp_path / "apt" / suite
        assert "BEGIN PGP SIGNED MESSAGE" in (signed / "InRelease").read_text()
        assert "BEGIN PGP PUBLIC KEY BLOCK" in (signed / "key.asc").read_text()
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("host", ADDRESSES)
def test_hosts_reach_each_other_and_nothing_else(cut_off: Path, host: str) -> None:
    other = next(address for name, address in ADDRESSES.items() if name != host)
    outside = ("10.84.0.1/22", "1.1.1.1/443", "deb.debian.org/80")
    tries = "".join(
        f"timeout 2 bash -c ': > /dev/tcp/{end}' 2>/dev/null && echo {end}; "
        for end in (f"{other}/22", *outside)
    )
    assert ssh(host, f"{tries} true").split() == [f"{other}/22"]


def test_tampered_bundle_is_refused_before_a_host_is_changed(cut_off: Path) -> None:
    tampered = cut_off.with_name("tampered.tar")
    shutil.copyfile(cut_off, tampered)
    with tarfile.open(tampered) as archive:
        member = next(item for item in archive if item.name.startswith("wheels/uv-"))
    with tampered.open("r+b") as stream:
        stream.seek(member.offset_data + member.size // 2)
        byte = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([byte[0] ^ 1]))
    refused = play("site.yml", bundle=str(tampered))
    tampered.unlink()
    assert refused.rc != 0
    (said,) = [result["msg"] for _, result in refused.results("bundle_check") if "msg" in result]
    assert f"{member.name} has sha256 " in said
    assert "manifest.json says " in said
    assert refused.changed() == []
    for host in ADDRESSES:
        assert ssh(host, "ls -d /etc/dynamo /opt/dynamo /srv/dynamo || true") == ""


def test_service_is_deployed_from_the_bundle_and_verified(cut_off: Path) -> None:
    deployed = play("site.yml", bundle=str(cut_off))
    assert deployed.rc == 0, deployed.output
    verified = play("playbooks/verify.yml")
    assert verified.rc == 0, verified.output
    # The hosts' own sources were not touched.
    assert "bundles" not in ssh(
        "old", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* || true"
    )


def test_second_run_copies_and_changes_nothing(cut_off: Path) -> None:
    again = play("site.yml", bundle=str(cut_off))
    assert again.rc == 0, again.output
    assert again.changed() == []
