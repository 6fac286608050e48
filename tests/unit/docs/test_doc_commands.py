"""Every command that a page prints runs as printed, on a copy of the project.

A playbook is parsed, and what it is told is checked; on hosts they run in tests/lab. A command that
no class here covers fails the test.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "tests/tools"))
import checkout
import doc_commands
from ansible.module_utils.dynfleet.inputs import catalogue, kinds, options
from doc_commands import Command

# What a reader puts in, and what stands for it here.
PLACES = {
    "INVENTORY": "inventory/mysite",
    "HOST": "gpu1",
    "MODULE": "gpu_topology",
    "/mnt/models/llama": "roles/lab/files/model",
    "snapshots/FILE": "snapshots/one.db",
}
# Run as printed, in this order: the later ones go by the files that the first ones make.
HERE = (
    ". .venv/bin/activate",
    "cp -a inventory/example inventory/mysite",
    "mkdir inventory/mysite/models",
    "tools/model-manifest /mnt/models/llama > inventory/mysite/models/llama.json",
    "python3 -c",
)
# Programs without options: these would begin their work. That they compile is all that is cheap.
BEGINS = {
    "sudo --preserve-env .venv/bin/python benchmarks/deploy.py": "benchmarks/deploy.py",
    "python3 benchmarks/placement.py": "benchmarks/placement.py",
}
# Where a command that needs a host, a network or hours is proven; the rest of its text is fixed.
ELSEWHERE = {
    "systemctl status 'dynamo-*'": "systemd's own",
    "systemctl stop": "tests/lab: drills and rolls stop units",
    "systemctl stop dynamo-worker@2": "tests/lab/test_roll.py",
    "systemctl cat dynamo-worker@0": "tests/lab/test_worker_unit.py",
    "systemd-analyze security": "tests/lab/test_site.py",
    "journalctl -u dynamo-worker@0": "systemd's own",
    "journalctl --unit BRIDGE-NAME": "tests/lab/test_lab_hosts.py",
    "kill -9": "tests/lab/drills",
    "kill -9 NATS": "tests/lab/drills",
    "nvidia-smi topo -m": "NVIDIA's own; its text is read in tests/unit/topology",
    "nvidia-smi topo -m > topo.txt": "NVIDIA's own; its text is read in tests/unit/topology",
    "nvidia-smi -q -x": "NVIDIA's own; its text is read in tests/unit/topology",
    **dict.fromkeys(
        (
            "export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://10.0.0.1:2379,http://10.0.0.2:2379,"
            "http://10.0.0.3:2379",
            'etcdctl compact "$(etcdctl endpoint status --write-out=json | grep -o '
            '\'"revision":[0-9]*\' | head -n 1 | cut -d: -f2)"',
            "etcdctl defrag",
            "etcdctl alarm disarm",
            "etcdctl alarm list",
            "etcdctl get / --prefix --keys-only | cut -d/ -f2,3 | sort | uniq -c",
        ),
        "etcd's own; molecule/etcd_ops fills a store",
    ),
    "nvidia-smi topo -mp": "NVIDIA's own; its text is read in tests/unit/topology",
    "update-initramfs -u": "the distribution's own",
    "mount -o remount,size=134G /dev/shm": "the kernel's own",
    "echo 'tmpfs /dev/shm tmpfs size=134G 0 0' >> /etc/fstab": "the kernel's own",
    "sha256sum -c dynamo.tar.sha256": "tests/lab/test_airgap.py",
    "python3 -m json.tool /opt/dynamo/current/worker/manifest.json | less": "Python's own",
    "python3 -m venv": "words for what a role does",
    "pip install": "words for what a role does",
    "mkdir -p /srv/dynamo/wheelhouse/models": "the builder's disk; molecule/model",
    "cp -r /mnt/models/llama /srv/dynamo/wheelhouse/models/": "the builder's disk; molecule/model",
    "/usr/lib/dynamo/topology-guard --plan /etc/dynamo/plan.json --worker N": "tests/lab",
    "git ls-remote https://github.com/ai-dynamo/dynamo 'refs/tags/v1.4.2*'": "needs the network",
    "ssh store python3 - /srv/models/llama < tools/model-manifest > inventory/mysite/models/"
    "llama.json": "needs a host; tests/unit/model runs the program",
    "HF_TOKEN=... .venv/bin/python tools/model-manifest hf://ORGANISATION/NAME@COMMIT  > inventory/"
    "mysite/models/llama.json": "needs the network; tests/unit/model runs the program",
}
# The roll-back by hand: one script, of which only the form can be seen without a release.
SCRIPTS = ("cd /opt/dynamo",)
PROGRAMS = re.compile(r"(cd tests/lab && python -m drills|(python3? )?(benchmarks|tools)/\w)")

COMMANDS = list({command.text: command for command in doc_commands.every()}.values())


def kind(command: Command) -> str:
    """The class that covers a command; empty where none does."""
    text, words = command.text, command.words
    if command.block in SCRIPTS:
        return "script"
    if any(text == item or (item == "python3 -c" and text.startswith(item)) for item in HERE):
        return "here"
    if text in ELSEWHERE or text in BEGINS:
        return "elsewhere" if text in ELSEWHERE else "begins"
    if words[0] in ("ansible-playbook", "ansible", "ansible-doc", "make"):
        return words[0]
    return "program" if PROGRAMS.match(" ".join(words)) else ""


def of(wanted: str) -> list[Command]:
    """The commands of a class."""
    return [command for command in COMMANDS if kind(command) == wanted]


def name(command: Command) -> str:
    """A test's name."""
    return f"{command.page}:{command.line}"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the files that the pages speak of."""
    place = checkout.copy(tmp_path_factory.mktemp("docs") / "fleet")
    (place / ".venv").symlink_to(sys.prefix)
    for path, content in {
        "topo.txt": "",
        "snapshots/one.db": "",
        "reports/verify.json": '{"findings": [{"host": "h", "unit": "u", "check": "", "seen": 1}]}',
        "typed.yml": "- hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - ansible.builtin.import_tasks: playbooks/tasks/options.yml\n",
    }.items():
        (place / path).parent.mkdir(exist_ok=True)
        (place / path).write_text(content)
    for begin in HERE:
        (command,) = (item for item in of("here") if item.text.startswith(begin))
        done = shell(place, command.text)
        assert done.returncode == 0, f"{command.text}\n{done.stdout}{done.stderr}"
    return place


def shell(place: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a command as printed, but for what a reader puts in."""
    for word, here in PLACES.items():
        text = re.sub(rf"(?<![\w/]){word}(?![\w-])", here, text)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
    path = f"{place}/.venv/bin:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", text],
        cwd=place,
        env={**inherited, "PATH": path, "HOME": f"{place}/.home"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def good(done: subprocess.CompletedProcess[str]) -> str:
    """The output of a command that has succeeded."""
    assert done.returncode == 0, f"{done.args[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_no_command_is_left_out() -> None:
    assert [f"{name(c)}: {c.text}" for c in COMMANDS if not kind(c)] == []
    assert len(of("ansible-playbook")) > 30
    texts = {command.text for command in COMMANDS}
    assert [text for text in (*ELSEWHERE, *BEGINS) if text not in texts] == []


def test_a_new_command_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a block, in a fence, over two lines, in a sentence."""
    monkeypatch.setattr(doc_commands, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text(
        "Do `systemctl mask dynamo-x` or `playbooks/x.yml -e\na=1`:\n\n"
        "    frobnicate --all  # now\n"
        "    ansible all \\\n      -m ping\n\n1. Then\n\n       make it\n\n```\nbash x.sh\n```\n"
        "Not `a b`, nor\n\n    key: value\n    ansible: no\n"
    )
    found = [command.text for command in doc_commands.of_page(tmp_path / "page.md")]
    assert found == [
        "systemctl mask dynamo-x",
        "ansible-playbook playbooks/x.yml -e a=1",
        "frobnicate --all",
        "ansible all  -m ping",
        "make it",
        "bash x.sh",
    ]


@pytest.mark.parametrize("command", of("ansible-playbook"), ids=name)
def test_playbook(project: Path, command: Command) -> None:
    """It parses, and the check that it begins with takes what it is told."""
    playbook = next(word for word in command.words if word.endswith(".yml"))
    assert f"playbook: {playbook}" in good(shell(project, f"{command.text} --syntax-check"))
    told = command.text.replace(playbook, "typed.yml", 1)
    if told.count(" -") > told.count(" -i "):
        assert "failed=0" in good(shell(project, told))


@pytest.mark.parametrize("command", of("ansible"), ids=name)
def test_ad_hoc(project: Path, command: Command) -> None:
    """Its hosts are there, and its module (command, where none is named) has this name."""
    hosts = good(shell(project, f"{command.text.split('>')[0]} --list-hosts"))
    assert re.search(r"hosts \([1-9]", hosts)
    words = command.words
    module = words[words.index("-m") + 1] if "-m" in words else "ansible.builtin.command"
    good(shell(project, f"ansible-doc -t module -M library {module}"))
    if module == "ansible.builtin.debug":
        assert "dynamo_release_id: dynamo-" in good(shell(project, command.text))


@pytest.mark.parametrize("command", of("ansible-doc"), ids=name)
def test_documentation(project: Path, command: Command) -> None:
    assert len(good(shell(project, command.text))) > 500


@pytest.mark.parametrize("command", of("make"), ids=name)
def test_target(project: Path, command: Command) -> None:
    """A dry run: make knows the target and all that it is made of."""
    assert good(shell(project, command.text.replace("make", "make -n", 1)))


@pytest.mark.parametrize("command", of("program"), ids=name)
def test_program(project: Path, command: Command) -> None:
    """The program is there and has every option that is printed."""
    text = re.split(r"\s--", command.text)[0]
    place = re.match(r"(.*?(?:benchmarks/\w+\.py|tools/[\w-]+|drills(?:\.\w+)?))", text)
    assert place
    usage = good(shell(project, f"{place.group(1)} --help"))
    for option in re.findall(r"(?<=\s)--[a-z-]+", command.text):
        assert option in usage, option


@pytest.mark.parametrize("command", of("begins"), ids=name)
def test_program_that_begins_at_once(project: Path, command: Command) -> None:
    path = project / BEGINS[command.text]
    compile(path.read_text(), str(path), "exec")


def test_scripts_have_the_form_of_one() -> None:
    for first in SCRIPTS:
        script = "\n".join(c.text for c in doc_commands.every() if c.block == first)
        assert script.count("\n") > 5
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=10)


def test_settings_in_sentences_are_taken_as_printed() -> None:
    """``roll_allow_outage=true`` and its like."""
    known = catalogue.read(ROOT)
    seen = 0
    for page, variable, text in doc_commands.settings():
        if variable in known.names:
            rule = kinds.rule_of(variable, known.defaults)
            assert rule, variable
            assert not kinds.judge(options.typed(text, rule), rule), f"{page}: {variable}={text}"
            seen += 1
    assert seen > 5


def test_words_are_split_as_a_shell_does() -> None:
    for command in COMMANDS:
        if command.block not in SCRIPTS:
            assert shlex.split(command.text), command
