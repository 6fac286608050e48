"""The whole lab: what differs from the wanted state, and the making of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Callable

from ansible.module_utils.dynfleet import lab as pure
from ansible.module_utils.dynfleet import lab_host_files as texts
from ansible.module_utils.dynfleet import lab_processes as processes
from ansible.module_utils.dynfleet.lab import Host
from ansible.module_utils.dynfleet.lab_host import LabHost, make_key
from ansible.module_utils.dynfleet.lab_host_files import File, Surroundings
from ansible.module_utils.dynfleet.lab_machine import LabError, default_mtu, run, unmount_below
from ansible.module_utils.dynfleet.lab_network import Network
from ansible.module_utils.dynfleet.lab_spec import Spec, record_path
from ansible.module_utils.dynfleet.lab_write import replace, same

# The second is what systemd-resolved really asks, where the first names its stub.
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
LEAST_FREE = 4 * 1024**3

Actions = dict[str, list[str]]


class Fleet:
    """One lab and its hosts."""

    def __init__(self, spec: Spec, timeout: int) -> None:
        self.spec = spec
        self.timeout = timeout
        self.lab = spec.lab
        self.network = Network(spec.lab)
        self.directory = Path(spec.lab.directory)
        self.ssh = self.directory / "ssh"

    def surroundings(self) -> Surroundings:
        """What the hosts take over from the machine."""
        resolver = pure.usable_resolver([p.read_text() for p in RESOLVERS if p.is_file()])
        if resolver is None:
            raise LabError(
                "/etc/resolv.conf names only servers on loopback, which lab hosts cannot reach: "
                "name a server there that has an address of its own"
            )
        key = self.ssh / "id_ed25519.pub"
        names = [host.name for host in self.spec.hosts]
        added = "usr/local/share/ca-certificates"
        return Surroundings(
            resolver=resolver,
            mtu=default_mtu(),
            proxies=pure.proxy_environment(os.environ, self.lab, names),
            own_certificates=any(
                any((Path(root) / added).glob("*.crt")) for root in self.spec.roots.values()
            ),
            authorized_key=key.read_text() if key.exists() else "",
        )

    def files(self, host: Host, around: Surroundings) -> dict[str, File]:
        topology = Path(host.topology).read_bytes() if host.topology else None
        keys = LabHost(self.lab, host.name).keys()
        return texts.host_files(
            self.lab, host, self.spec.hosts, around=around, host_key=keys, topology=topology
        )

    def present_names(self) -> list[str]:
        """Hosts of which there is something: a directory, or a process without one."""
        hosts = self.directory / "hosts"
        names = {entry.name for entry in hosts.iterdir()} if hosts.is_dir() else set()
        prefix = texts.root_argument(f"{hosts}/")
        found = processes.arguments_with_prefix(prefix)
        return sorted(names | {argument[len(prefix) :].split("/")[0] for argument in found})

    def differences(self) -> Actions:
        """What is to be done, in words: for the network, and for each host."""
        around = self.surroundings()
        actions = {"lab": self.network.pending()}
        ports = self.network.ports()
        for host in self.spec.hosts:
            actions[host.name] = self.host_differences(host, around, ports)
        stale = set(self.present_names()) - set(actions)
        return {**actions, **{name: ["remove"] for name in sorted(stale)}}

    def host_differences(self, host: Host, around: Surroundings, ports: set[str]) -> list[str]:
        guest = LabHost(self.lab, host.name)
        record = guest.record()
        if guest.has_disk() and not (
            # A disk is a layer over one root: over another it is nonsense.
            record and record["suite"] == host.suite and Path(record["root"]).is_dir()
        ):
            return ["make anew"]
        if not record or guest.process() is None or not guest.mounted():
            return ["boot"]
        files = self.files(host, around)
        differing = [path for path, file in files.items() if not same(guest.path(path), file)]
        needs_boot = guest.command_changed(host) or any(files[path].boot for path in differing)
        if needs_boot or not guest.supervised():
            return ["restart"]
        attach = [] if guest.port() in ports else ["attach to the bridge"]
        return attach + [f"write {path}" for path in differing]

    def check(self) -> None:
        """Refuse what this machine has no place for."""
        self.network.check()
        if found := pure.loopback_proxies(pure.proxy_environment(os.environ, self.lab, [])):
            raise LabError(
                f"{', '.join(found)}: lab hosts cannot reach a proxy on loopback; let it listen "
                f"on another address and name that one, for example {self.lab.gateway}"
            )
        for name in (self.lab.directory, self.lab.cache):
            place = next(path for path in (Path(name), *Path(name).parents) if path.exists())
            free = shutil.disk_usage(place).free
            if free < LEAST_FREE:
                raise LabError(
                    f"{name}: {free // 1024**2} MiB free, a lab needs {LEAST_FREE // 1024**2}; "
                    "make room, or set lab_dir and lab_cache_dir to another disk"
                )

    def up(self) -> Actions:
        """All hosts as wanted, running and answering."""
        self.check()
        (self.ssh / "cp").mkdir(parents=True, exist_ok=True)
        (self.directory / "hosts").mkdir(exist_ok=True)
        for private in (self.ssh, self.directory / "hosts"):
            private.chmod(0o700)
        if not (self.ssh / "id_ed25519.pub").exists():
            make_key(self.ssh / "id_ed25519", f"lab {self.lab.bridge}")
        self.spec.save()
        actions = self.differences()
        if actions["lab"]:
            self.network.repair()
        for name in [name for name, steps in actions.items() if steps == ["remove"]]:
            LabHost(self.lab, name).remove()
        around = self.surroundings()
        self.write_known_hosts()
        self.at_once(lambda host: self.settle(host, around, actions[host.name]), self.spec.hosts)
        return actions

    def at_once(self, act: Callable[[Host], object], hosts: Sequence[Host]) -> None:
        with ThreadPoolExecutor(max_workers=pure.MOST_HOSTS) as pool:
            list(pool.map(act, hosts))

    def settle(self, host: Host, around: Surroundings, steps: list[str]) -> None:
        """Do what one host needs, and see it answer."""
        guest = LabHost(self.lab, host.name)
        if steps == ["make anew"]:
            guest.drop_disk()
        if steps in (["make anew"], ["boot"], ["restart"]):
            self.power_cycle(host, around)
            return
        files = self.files(host, around)
        if "attach to the bridge" in steps and (port := guest.port()):
            run("ip", "link", "set", port, "master", self.lab.bridge)
        for path in (step[len("write ") :] for step in steps if step.startswith("write ")):
            replace(guest.path(path), files[path])
        guest.wait(host.address, self.timeout)

    def power_cycle(self, host: Host, around: Surroundings) -> None:
        guest = LabHost(self.lab, host.name)
        guest.stop()
        root = guest.record().get("root") or self.spec.roots[host.suite]
        guest.boot(host, self.files(host, around), root)
        guest.wait(host.address, self.timeout)

    def write_known_hosts(self) -> None:
        lines = ""
        for host in self.spec.hosts:
            public = LabHost(self.lab, host.name).keys()[1].decode().rsplit(" ", 1)[0]
            lines += f"{host.name},{host.address} {public}\n"
        file = File(lines.encode())
        if not same(self.ssh / "known_hosts", file):
            replace(self.ssh / "known_hosts", file)

    def stop(self, hosts: Sequence[Host]) -> Actions:
        """Pull the plug."""
        return {
            host.name: ["power off"] if LabHost(self.lab, host.name).stop() else []
            for host in hosts
        }

    def restart(self, hosts: Sequence[Host]) -> Actions:
        """Pull the plug and put it in again."""
        around = self.surroundings()
        self.at_once(lambda host: self.power_cycle(host, around), hosts)
        return {host.name: ["power cycle"] for host in hosts}

    def remains(self) -> Actions:
        """What there is of the lab."""
        found = {name: ["remove"] for name in self.present_names()}
        own = [f"remove {part}" for part in self.network.remains()]
        if record_path(self.lab.directory).exists() or self.ssh.exists():
            own.append(f"remove {self.directory}")
        return {"lab": own, **found} if own or found else {}

    def down(self) -> Actions:
        """No process, mount, interface or rule of the lab is left, and no file but the cache."""
        actions = self.remains()
        for socket in (self.ssh / "cp").glob("*"):
            command = ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "lab"]
            subprocess.run(command, capture_output=True, timeout=10, check=False)
        with ThreadPoolExecutor(max_workers=pure.MOST_HOSTS) as pool:
            list(pool.map(lambda name: LabHost(self.lab, name).remove(), self.present_names()))
        self.network.remove()
        for group in processes.control_groups(self.lab.bridge):
            processes.clear_control_group(group)
        unmount_below(self.directory)
        for part in (self.directory / "hosts", self.ssh):
            shutil.rmtree(part, ignore_errors=True)
        record_path(self.lab.directory).unlink(missing_ok=True)
        # Both stay if somebody keeps other things there.
        for emptied in (Path(self.lab.cache) / "apt" / "hosts" / self.lab.bridge, self.directory):
            with suppress(OSError):
                emptied.rmdir()
        return actions
