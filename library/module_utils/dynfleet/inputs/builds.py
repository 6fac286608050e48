"""Builds from source: known components, full commits, files that are there, no secret in a URL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from ansible.module_utils.dynfleet.inputs.files import is_file
from ansible.module_utils.dynfleet.inputs.model import Fleet, Host, Problem
from ansible.module_utils.dynfleet.inputs.names import did_you_mean

# Each by the role of that name.
COMPONENTS = ("dynamo", "flexkv")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def check(fleet: Fleet) -> Iterator[Problem]:
    """The lists of all release sets, and what the builder is to build."""
    for host in fleet.hosts.values():
        yield from _lists(host)
    for host in fleet.members("builder"):
        wanted = [name for name in COMPONENTS if name in host.sequence("dynamo_release_builds")]
        for component in wanted:
            yield from _commit(host, component)
            yield from _repository(host, component)
            yield from _patches(host, component)
        if "dynamo" in wanted and host.text("dynamo_rust_source") == "archive":
            yield from _rust(host)
        if "dynamo" in wanted and host.sequence("dynamo_patches"):
            yield from _patched_frontends(host)
        if "dynamo" not in wanted and host.sequence("dynamo_patches"):
            yield host.problem(
                "dynamo_patches",
                "are not applied: Dynamo is not built from source",
                "set dynamo_source: git and a release set that builds dynamo, or take them out",
                warning=True,
            )


def _patched_frontends(host: Host) -> Iterator[Problem]:
    """The router is the frontend's: a patch of it is for nothing where only workers get it."""
    release = host.mapping("dynamo_release_sets").get(host.text("dynamo_release_set") or "")
    if isinstance(release, Mapping) and release.get("frontend") != release.get("dynamo"):
        yield host.problem(
            "dynamo_patches",
            f"are applied to the workers only: frontends are Dynamo {release.get('frontend')}",
            "for frontends too, use a release set whose frontend is of the version of dynamo",
            warning=True,
        )


def _lists(host: Host) -> Iterator[Problem]:
    for name, release in host.mapping("dynamo_release_sets").items():
        builds = release.get("builds", []) if isinstance(release, Mapping) else []
        variable = f"dynamo_release_sets.{name}.builds"
        if not isinstance(builds, list):
            yield host.problem(variable, "is no list", "write a YAML list", value=builds)
            continue
        for component in builds:
            if component not in COMPONENTS:
                yield host.problem(
                    variable,
                    f"'{component}' is built by no role",
                    did_you_mean(str(component), COMPONENTS) or f"choose {', '.join(COMPONENTS)}",
                    value=builds,
                )


def _commit(host: Host, component: str) -> Iterator[Problem]:
    variable = f"{component}_commit"
    commit, repository = host.text(variable), host.text(f"{component}_repository") or "REPOSITORY"
    if commit is None or _COMMIT.fullmatch(commit):
        return
    wrong = "is empty" if not commit else "is no full commit, 40 hexadecimal digits in lower case"
    ask = f"git ls-remote {_without_secret(repository)}"
    ways = f"give the full one ({ask} shows those of branches and tags)"
    if component == "dynamo":
        ways += ", or set dynamo_source: wheels"
    yield host.problem(variable, wrong, ways)


def _repository(host: Host, component: str) -> Iterator[Problem]:
    variable = f"{component}_repository"
    url = host.text(variable)
    if url == "":
        yield host.problem(variable, "is empty", "give the address of the Git repository")
    elif url is not None and url != _without_secret(url):
        problem = host.problem(
            variable,
            "holds a user or password, which process lists and logs would show",
            f"give them in {component}_git_user and {component}_git_token",
        )
        yield replace(problem, value="")


def _without_secret(url: str) -> str:
    """The address as others may see it."""
    parts = urlsplit(url)
    secret = parts.password or (parts.username and parts.scheme in ("http", "https"))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if secret else url


def _patches(host: Host, component: str) -> Iterator[Problem]:
    variable = f"{component}_patches"
    seen: set[str] = set()
    for path in host.sequence(variable):
        if not isinstance(path, str) or not path.startswith("/"):
            yield host.problem(
                variable,
                f"'{path}' is no absolute path",
                "name files of the controller, such as {{ inventory_dir }}/patches/1.patch",
            )
        elif not is_file(path):
            yield host.problem(
                variable, f"'{path}' is no file on the controller", "put it there, or take it out"
            )
        elif path.rpartition("/")[2] in seen:
            yield host.problem(variable, f"'{path}' has the name of another", "rename one of them")
        seen.add(str(path).rpartition("/")[2])


def _rust(host: Host) -> Iterator[Problem]:
    digest = host.text("dynamo_rust_sha256")
    if digest is not None and not _SHA256.fullmatch(digest):
        yield host.problem(
            "dynamo_rust_sha256",
            "is empty, and dynamo_rust_source is archive"
            if not digest
            else f"is not 64 hexadecimal digits but {len(digest)} characters",
            "give the SHA-256 of the archive, or set dynamo_rust_source: package",
        )
    if host.text("dynamo_rust_url") == "":
        yield host.problem(
            "dynamo_rust_url",
            "is empty, and dynamo_rust_source is archive",
            "give the address of the compiler's .tar.xz",
        )
