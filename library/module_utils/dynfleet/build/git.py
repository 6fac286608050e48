"""Source from Git: kept bare on the host, fetched only when the commit is not there."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ansible.module_utils.dynfleet.build.command import CommandFailed, Runner
from ansible.module_utils.dynfleet.build.errors import BuildError
from ansible.module_utils.dynfleet.build.inputs import Patch

_MODULE = re.compile(r"submodule\.(?P<name>.+)\.(?P<key>path|url)=(?P<value>.*)")
_APPLY = re.compile(r"^error: (?:patch failed: )?(?P<file>\S.*?)(?::\d+)?(?:: (?P<why>.*))?$", re.M)


@dataclass(frozen=True)
class Module:
    """A submodule where its parent wants it. path: from the top of the source."""

    path: str
    url: str
    commit: str
    mirror: Path


def credentials(url: str, user: str, password: str) -> dict[str, str]:
    """Environment by which git answers the repository's host, and no other, with a password.

    Neither the address nor a command line ever holds it.
    """
    parts = urlsplit(url)
    if not password or parts.scheme not in ("http", "https"):
        return {}
    helper = (
        '!f() { test "$1" = get || exit 0; '
        'printf "username=%s\\npassword=%s\\n" "$BUILD_GIT_USER" "$BUILD_GIT_TOKEN"; }; f'
    )
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"credential.{parts.scheme}://{parts.netloc}.helper",
        "GIT_CONFIG_VALUE_0": helper,
        "BUILD_GIT_USER": user,
        "BUILD_GIT_TOKEN": password,
    }


def mirror_of(root: Path, component: str, url: str = "") -> Path:
    """The bare repository of a component, or of one of its submodules by their address."""
    if not url:
        return root / ".git" / component
    return root / ".git" / f"{component}-modules" / hashlib.sha256(url.encode()).hexdigest()[:12]


def has(runner: Runner, mirror: Path, commit: str) -> bool:
    """Whether a bare repository holds a commit with all that it names."""
    if not (mirror / "HEAD").is_file():
        return False
    # The mark is set after a fetch: a commit alone may be what is left of a killed one.
    mark = ["git", "-C", str(mirror), "rev-parse", "--verify", "--quiet", f"refs/builds/{commit}"]
    return (runner.ask(mark) or "").strip() == commit


def ensure(runner: Runner, mirror: Path, url: str, commit: str) -> None:
    """Have a commit in a bare repository. Raises BuildError where the remote has none such."""
    if has(runner, mirror, commit):
        runner.note(f"{commit} is there")
        return
    mirror.parent.mkdir(parents=True, exist_ok=True)
    git = ["git", "-C", str(mirror)]
    runner.run(["git", "init", "--quiet", "--bare", str(mirror)])
    fetch = [*git, "-c", "gc.auto=0", "fetch", "--force", "--no-show-forced-updates", url]
    # Tags too: versions are named after them.
    runner.run([*fetch, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
    kind = [*git, "cat-file", "-t", commit]
    if runner.ask(kind) is None:
        try:  # on no branch, but perhaps in a pull request
            runner.run([*fetch, commit])
        except CommandFailed as error:
            raise BuildError(
                f"{url} has no commit {commit}: is it of another repository?"
            ) from error
    if (runner.ask(kind) or "").strip() != "commit":
        raise BuildError(f"{commit} of {url} is no commit; name the commit that a tag points at")
    runner.run([*git, "update-ref", f"refs/builds/{commit}", commit])


def check_tag(runner: Runner, mirror: Path, tag: str, commit: str) -> None:
    """Refuse a tag that is not of the commit: one of the two is not what was meant."""
    ask = ["git", "-C", str(mirror), "rev-parse", "--verify", "--quiet"]
    found = (runner.ask([*ask, f"refs/tags/{tag}^{{commit}}"]) or "").strip()
    if found != commit:
        have = f"is of commit {found}" if found else "is not in the repository"
        raise BuildError(f"the tag {tag} {have}, wanted is {commit}")


def resolve(parent: str, url: str) -> str:
    """The address of a submodule: ``./`` and ``../`` are seen from its parent's."""
    if not url.startswith(("./", "../")):
        return url
    scheme, slash, rest = parent.rstrip("/").partition("://")
    host, mark, path = rest.partition("/") if slash else scheme.rpartition(":")
    joined = posixpath.normpath(posixpath.join("/", path.lstrip("/"), url))
    if slash:
        return f"{scheme}://{host}{joined}"
    return f"{host}{mark}{joined.lstrip('/')}" if mark else joined


def modules(runner: Runner, mirror: Path, commit: str, url: str) -> Iterator[tuple[str, str, str]]:
    """Path, address and commit of each direct submodule of a commit."""
    git = ["git", "-C", str(mirror)]
    text = runner.ask([*git, "config", "--blob", f"{commit}:.gitmodules", "--list"]) or ""
    found: dict[str, dict[str, str]] = {}
    for match in map(_MODULE.fullmatch, text.splitlines()):
        if match:
            found.setdefault(match["name"], {})[match["key"]] = match["value"]
    for name, item in found.items():
        if "path" not in item or "url" not in item:
            raise BuildError(f"submodule {name} of {url} has no path or no address")
        entry = (runner.ask([*git, "ls-tree", commit, "--", item["path"]]) or "").split()
        # Named in .gitmodules, but not part of this commit: git leaves it out too.
        if len(entry) >= 3 and entry[1] == "commit":
            yield item["path"], resolve(url, item["url"]), entry[2]


def fetch_modules(runner: Runner, root: Path, component: str, top: Module) -> list[Module]:
    """Have the commits of all submodules on the host, and theirs: parents come first."""
    found: list[Module] = []
    pending = [top]
    while pending:
        parent = pending.pop()
        for path, address, wanted in modules(runner, parent.mirror, parent.commit, parent.url):
            here = posixpath.join(parent.path, path)
            module = Module(here, address, wanted, mirror_of(root, component, address))
            ensure(runner, module.mirror, address, wanted)
            found.append(module)
            pending.append(module)
    return found


def checkout(runner: Runner, mirror: Path, commit: str, source: Path) -> None:
    """Put a commit into a directory, which borrows its objects from the bare repository."""
    runner.run(["git", "clone", "--quiet", "--shared", "--no-checkout", str(mirror), str(source)])
    git = ["git", "-C", str(source), "-c", "advice.detachedHead=false"]
    runner.run([*git, "checkout", "--quiet", "--force", "--detach", commit])
    have = (runner.ask([*git, "rev-parse", "HEAD"]) or "").strip()
    if have != commit:
        raise BuildError(f"{source} is at {have or 'no commit'}, wanted is {commit}")


def apply(runner: Runner, source: Path, number: int, patch: Patch, work: Path) -> None:
    """Apply one patch. Raises BuildError that names it and the file that it does not fit."""
    file = work / f"{number:02d}-{patch.name}"
    file.write_text(patch.content, encoding="utf-8")
    command = ["git", "-C", str(source), "apply", "--index", "--whitespace=nowarn", str(file)]
    before = runner.log.stat().st_size if runner.log.exists() else 0
    try:
        runner.run(command)
    except CommandFailed as error:
        said = runner.log.read_bytes()[before:].decode("utf-8", "replace")
        places = dict.fromkeys(match["file"] for match in _APPLY.finditer(said))
        raise BuildError(
            f"patch {patch.name} does not apply to {', '.join(places) or 'the source'} at this "
            "commit; make it anew from this commit (git diff), or take it out"
        ) from error


def patch(runner: Runner, source: Path, patches: tuple[Patch, ...], work: Path) -> None:
    """Apply all patches to the source as it was checked out."""
    work.mkdir(parents=True, exist_ok=True)
    # What a killed run had applied.
    runner.run(["git", "-C", str(source), "reset", "--quiet", "--hard"])
    for number, item in enumerate(patches, 1):
        apply(runner, source, number, item, work)


def origin(modules_: list[Module]) -> Mapping[str, str]:
    """The commit of each submodule, by its path."""
    return {module.path: module.commit for module in sorted(modules_, key=lambda item: item.path)}
