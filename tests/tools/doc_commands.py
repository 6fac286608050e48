"""Every command that the project's pages print, as they print it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The generated ones hold values and messages in their tables, not commands.
GENERATED = ("bad-inputs.md", "reference.md")
# How a command in the middle of a sentence begins; a playbook stands for ansible-playbook.
WORDS = (
    *("ansible", "ansible-playbook", "ansible-doc", "ansible-inventory", "ansible-vault", "make"),
    *("git", "cp", "mkdir", "rsync", "ssh", "sudo", "python", "python3", "pip", "curl", "kill"),
    *("systemctl", "journalctl", "systemd-analyze", "nvidia-smi", "update-initramfs", "sha256sum"),
    *("etcdctl", "mount", "chmod", "export", "pytest", "molecule"),
)
PROGRAM = re.compile(r"(\.venv/bin|tools|benchmarks|/usr/lib/dynamo)/[\w./-]+")
PLAYBOOK = re.compile(r"[\w./-]+\.yml")
# What a block of something else than commands begins with.
DATA = (
    re.compile(r"[\w-]+:( |$)"),  # YAML, and what a program says under its own name
    re.compile(r"[{\[]|- "),  # JSON, a list, a table of Ansible's
    re.compile(r"# [\w./-]+$"),  # a file, by its name
    re.compile(r"/\S+  +\w"),  # a directory, and what it holds
    re.compile(r"\S+ +(->|builder\b|plan\b)"),  # a diagram
)
SAID = (
    "NIXL goes by cma",
    "seen from outside",
    "etcd1/dynamo-etcd.service: alarm",
    "compacted revision",
)


@dataclass(frozen=True)
class Command:
    """A command, without its comment, and where it stands. block: of which lines it is one."""

    page: str
    line: int
    text: str
    block: str = ""

    @property
    def words(self) -> list[str]:
        """Its words, without what only says which environment it is run in."""
        words = shlex.split(self.text)
        while words and (words[0] in ("sudo", "--preserve-env") or re.match(r"[A-Z_]+=", words[0])):
            words = words[1:]
        return [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else []


def _whole(text: str) -> bool:
    """Whether a line does not go on in the next one."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return not text.endswith("\\")


def _lines(block: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines of a block, those that go on joined, without comments."""
    number, begun = 0, ""
    for at, line in block:
        number, begun = (at, line.strip()) if not begun else (number, f"{begun}\n{line.strip()}")
        if _whole(begun):
            text = re.sub(r"(^|\s{2,})# .*$", "", begun.replace("\\\n", " ")).strip()
            if text:
                yield number, text
            begun = ""


def _blocks(lines: list[str]) -> Iterator[tuple[bool, list[tuple[int, str]]]]:
    """Runs of lines: whether they are code, and with their numbers."""
    run: list[tuple[int, str]] = []
    code = fenced = False
    for number, line in enumerate([*lines, ""], 1):
        fence = line.lstrip().startswith("```")
        blank = not line.strip()
        indented = re.match(r" {4}", line) and (code or not run)
        is_code = bool(not fence and not blank and (fenced or indented))
        if run and (fence or blank or is_code != code):
            yield code, run
            run = []
        fenced ^= fence
        code = is_code
        if not blank and not fence:
            run.append((number, line))
    if run:
        yield code, run


def is_data(first: str) -> bool:
    """Whether a block that begins like this holds no commands."""
    return first.startswith(SAID) or any(pattern.match(first) for pattern in DATA)


def _inline(text: str) -> bool:
    """Whether code in a sentence is a command."""
    word, _, rest = text.partition(" ")
    if PLAYBOOK.fullmatch(word):
        return rest.startswith("-")
    return bool(rest) and (word in WORDS or bool(PROGRAM.fullmatch(word)) or text.startswith(". "))


def of_page(path: Path) -> Iterator[Command]:
    """The commands of a page."""
    name = str(path.relative_to(ROOT))
    for code, run in _blocks(path.read_text(encoding="utf-8").splitlines()):
        first = run[0][1].strip()
        if code and not is_data(first):
            for number, text in _lines(run):
                yield Command(name, number, text, first)
        elif not code:
            if path.name in GENERATED:
                whole = " ".join(line for _, line in run if not line.startswith("|"))
            else:
                whole = " ".join(line.strip() for _, line in run)
            for match in re.finditer(r"`([^`]+)`", whole):
                if _inline(match.group(1)):
                    text = match.group(1)
                    lead = "ansible-playbook " if PLAYBOOK.match(text) else ""
                    yield Command(name, run[0][0], lead + text)


def of_playbook(path: Path) -> Iterator[Command]:
    """The commands in the comment that a playbook begins with."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := re.match(r"# {3,}(ansible.*?)(\s{2,}# .*)?$", line):
            yield Command(str(path.relative_to(ROOT)), number, match.group(1))


def every() -> list[Command]:
    """All of them."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [command for page in pages for command in of_page(page)]
    for playbook in sorted((ROOT / "playbooks").glob("*.yml")):
        found += of_playbook(playbook)
    return found


def settings() -> Iterator[tuple[str, str, str]]:
    """Page, name and value of every ``name=value`` that stands alone in a sentence or a table."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for match in re.finditer(r"`(?:-e )?([a-z]\w+)=([^`\s]+)`", page.read_text("utf-8")):
            yield page.name, match.group(1), match.group(2)
