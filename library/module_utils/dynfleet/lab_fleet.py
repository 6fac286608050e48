"""The whole lab: what differs from the wanted state, and the making of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Mapping, Optional

from ansible.module_utils.dynfleet import lab as pure
from ansible.module_utils.dynfleet import lab_host_files as texts
from ansible.module_utils.dynfleet.lab import Host, Lab
from ansible.module_utils.dynfleet.lab_host import LabHost, digest, make_key, replace
from ansible.module_utils.dynfleet.lab_host_files import File, Surroundings
from ansible.module_utils.dynfleet.lab_machine import (
    LabError,
    Network,
    default_mtu,
    lock_directory,
    run,
    unmount_below,
)

# The second is what systemd-resolved really asks, where the first names its stub.
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
LEAST_FREE = 4 * 1024**3

Actions = dict[str, list[str]]


class Fleet:
    """One lab, from module parameters (present) or from its own record (the other states)."""

    def __init__(self, params: Mapping[str, Any], check_mode: bool) -> None:
        self.check_mode = check_mode
        self.timeout: int = params["timeout"]
        self.roots: dict[str, str] = params["roots"] or {}
        self.names: list[str] = params["names"]
        self.directory = Path(params["lab_dir"])
        self.record_path = self.directory / "lab.json"
        self.record = self.read_record()
        self.hosts = [pure.host_from(item) for item in params["hosts"] or []]
        self.lab: Optional[Lab] = None
        if params["state"] == "present":
            found = pure.lab_problems(params["bridge"], params["subnet"])
            if not found:
                self.lab = self.wanted_lab(params)
                found = pure.host_problems(self.lab, self.hosts)
                found += [
                    f"{host.name}: lab_topology {host.topology} is not a file"
                    for host in self.hosts
                    if host.topology and not Path(host.topology).is_file()
                ]
            if found:
                raise LabError("The lab cannot be made:\n- " + "\n- ".join(found))
        elif self.record:
            self.lab = Lab(directory=str(self.directory), **self.record["lab"])
            self.hosts = [pure.host_from(item) for item in self.record["hosts"]]
            self.roots = self.record["roots"]

    def wanted_lab(self, params: Mapping[str, Any]) -> Lab:
        lab = Lab(params["bridge"], params["subnet"], str(self.directory), params["cache_dir"])
        if self.record and self.record["lab"] != self.identity(lab):
            raise LabError(
                f"the lab in {self.directory} was made as {self.record['lab']}, wanted is "
                f"{self.identity(lab)}: take it down first, or set lab_dir to another directory"
            )
        return lab

    def identity(self, lab: Lab) -> dict[str, str]:
        return {"bridge": lab.bridge, "subnet": lab.subnet, "cache": lab.cache}

    def read_record(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads(self.record_path.read_text())
            return found
        return {}

    def apply(self, state: str) -> Actions:
        """Bring the lab to a state; what was done, or in check mode would be."""
        if self.lab is None:
            if state == "absent":
                return {}
            raise LabError(f"there is no lab in {self.directory}; playbooks/lab_up.yml makes it")
        if self.check_mode:
            return self.plan(self.lab, state)
        lock = lock_directory(self.directory)
        try:
            return {
                "present": self.present,
                "absent": self.absent,
                "stopped": self.power,
                "restarted": self.power,
            }[state](self.lab, state)
        finally:
            os.close(lock)

    def plan(self, lab: Lab, state: str) -> Actions:
        """What a state needs, in words."""
        if state == "absent":
            return {"lab": [f"remove {self.directory}"]}
        if state != "present":
            return {host.name: [state] for host in self.chosen()}
        if not self.record:
            return {"lab": ["network"], **{host.name: ["boot"] for host in self.hosts}}
        actions = self.differences(lab, self.surroundings())
        return {"lab": Network(lab).pending(), **actions}

    def chosen(self) -> list[Host]:
        known = [host.name for host in self.hosts]
        if unknown := sorted(set(self.names) - set(known)):
            raise LabError(
                f"{', '.join(unknown)}: no host of the lab, which has {', '.join(known)}"
            )
        return [host for host in self.hosts if not self.names or host.name in self.names]

    def surroundings(self) -> Surroundings:
        """What the hosts take over from the machine."""
        assert self.lab is not None
        resolver = pure.usable_resolver([p.read_text() for p in RESOLVERS if p.is_file()])
        if resolver is None:
            raise LabError(
                "/etc/resolv.conf names only servers on loopback, which lab hosts cannot reach: "
                "name a server there that has an address of its own"
            )
        key = self.directory / "ssh" / "id_ed25519"
        public = key.with_suffix(".pub")
        if not public.exists() and not self.check_mode:
            key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_key(key, f"lab {self.lab.bridge}")
        names = [host.name for host in self.hosts]
        added = "usr/local/share/ca-certificates"
        return Surroundings(
            resolver=resolver,
            mtu=default_mtu(),
            proxies=pure.proxy_environment(os.environ, self.lab, names),
            own_certificates=any(
                any((Path(root) / added).glob("*.crt")) for root in self.roots.values()
            ),
            authorized_key=public.read_text() if public.exists() else "",
        )

    def files(self, lab: Lab, host: Host, around: Surroundings) -> dict[str, File]:
        topology = Path(host.topology).read_bytes() if host.topology else None
        keys = LabHost(lab, host.name).keys()
        return texts.host_files(lab, host, self.hosts, around, keys, topology)

    def differences(self, lab: Lab, around: Surroundings) -> Actions:
        """What each host needs: one word, or the files to write; hosts that are no longer named
        are to be removed."""
        actions: Actions = {}
        ports = Network(lab).ports()
        for host in self.hosts:
            guest = LabHost(lab, host.name)
            record = guest.record()
            if record and (record["suite"] != host.suite or not Path(record["root"]).is_dir()):
                actions[host.name] = ["make anew"]
            elif not record or guest.process() is None or not guest.mounted():
                actions[host.name] = ["boot"]
            else:
                files = self.files(lab, host, around)
                differing = guest.differing(files)
                if record["command"] != digest(guest.command(host)) or any(
                    files[path].boot for path in differing
                ):
                    actions[host.name] = ["restart"]
                else:
                    attach = [] if guest.port() in ports else ["attach to the bridge"]
                    actions[host.name] = attach + [f"write {path}" for path in differing]
        hosts = self.directory / "hosts"
        present = [entry.name for entry in hosts.iterdir()] if hosts.is_dir() else []
        known = {host.name for host in self.hosts}
        return {**actions, **{name: ["remove"] for name in sorted(set(present) - known)}}

    def check_space(self, lab: Lab) -> None:
        for name in (lab.directory, lab.cache):
            free = shutil.disk_usage(name).free
            if free < LEAST_FREE:
                raise LabError(
                    f"{name}: {free // 1024**2} MiB free, a lab needs {LEAST_FREE // 1024**2}; "
                    "make room, or set lab_dir and lab_cache_dir to another disk"
                )

    def present(self, lab: Lab, _state: str) -> Actions:
        """All hosts as wanted, running and answering."""
        network = Network(lab)
        network.check()
        self.check_space(lab)
        around = self.surroundings()
        (self.directory / "ssh" / "cp").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.write_record(lab)
        pending = network.pending()
        if pending:
            network.repair()
        actions = self.differences(lab, around)
        for name in [name for name, steps in actions.items() if steps == ["remove"]]:
            LabHost(lab, name).remove()
        self.write_known_hosts(lab)
        with ThreadPoolExecutor(max_workers=pure.MOST_HOSTS) as pool:
            list(pool.map(lambda h: self.settle(lab, h, around, actions[h.name]), self.hosts))
        return {"lab": pending, **actions}

    def settle(self, lab: Lab, host: Host, around: Surroundings, steps: list[str]) -> None:
        """Do what one host needs."""
        guest = LabHost(lab, host.name)
        if steps == ["make anew"]:
            guest.remove()
            self.write_known_hosts(lab)
        if steps in (["make anew"], ["boot"], ["restart"]):
            guest.stop()
            root = guest.record().get("root") or self.roots[host.suite]
            guest.boot(host, self.files(lab, host, around), root)
        else:
            files = self.files(lab, host, around)
            if "attach to the bridge" in steps and (port := guest.port()):
                run("ip", "link", "set", port, "master", lab.bridge)
            guest.write(files, guest.differing(files))
        guest.wait(host.address, self.timeout)

    def write_record(self, lab: Lab) -> None:
        """Enough to stop, boot and remove the lab without its inventory."""
        hosts = [
            {**vars(host), "binds": [vars(bind) for bind in host.binds]} for host in self.hosts
        ]
        record = {"lab": self.identity(lab), "hosts": hosts, "roots": self.roots}
        content = json.dumps(record, indent=1).encode()
        if record != self.record:
            replace(self.record_path, File(content))

    def write_known_hosts(self, lab: Lab) -> None:
        lines = ""
        for host in self.hosts:
            public = LabHost(lab, host.name).keys()[1].decode().rsplit(" ", 1)[0]
            lines += f"{host.name},{host.address} {public}\n"
        path = self.directory / "ssh" / "known_hosts"
        if not path.exists() or path.read_text() != lines:
            replace(path, File(lines.encode()))

    def power(self, lab: Lab, state: str) -> Actions:
        """Pull the plug of some hosts, and for a restart put it in again."""
        actions: Actions = {}
        around = self.surroundings()
        for host in self.chosen():
            guest = LabHost(lab, host.name)
            was_running = guest.stop()
            actions[host.name] = [state] if was_running or state == "restarted" else []
            if state == "restarted":
                root = guest.record().get("root") or self.roots[host.suite]
                guest.boot(host, self.files(lab, host, around), root)
                guest.wait(host.address, self.timeout)
        return actions

    def absent(self, lab: Lab, _state: str) -> Actions:
        """No process, mount, interface or rule of the lab is left, and no file but the cache."""
        for socket in (self.directory / "ssh" / "cp").glob("*"):
            command = ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "lab"]
            subprocess.run(command, capture_output=True, timeout=10, check=False)
        hosts = self.directory / "hosts"
        names = [entry.name for entry in hosts.iterdir()] if hosts.is_dir() else []
        with ThreadPoolExecutor(max_workers=pure.MOST_HOSTS) as pool:
            list(pool.map(lambda name: LabHost(lab, name).remove(), names))
        Network(lab).remove()
        from ansible.module_utils.dynfleet import lab_processes as processes

        for group in processes.control_groups(lab.bridge):
            processes.clear_control_group(group)
        with suppress(OSError):
            (Path(lab.cache) / "apt" / "hosts" / lab.bridge).rmdir()
        unmount_below(self.directory)
        shutil.rmtree(self.directory)
        return {"lab": [f"remove {self.directory}"], **{name: ["remove"] for name in names}}
