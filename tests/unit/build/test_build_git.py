"""Source from real Git repositories on the local disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils.dynfleet.build import git
from ansible.module_utils.dynfleet.build.errors import BuildError
from ansible.module_utils.dynfleet.build.inputs import Patch
from build_cases import commit, repository, runner
from build_cases import git as run_git


def test_the_commit_that_was_named_is_taken_and_kept(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    wanted = repository(remote, {"text": "one"})
    commit(remote, {"text": "two"})
    run, mirror = runner(tmp_path / "run"), git.mirror_of(tmp_path / "root", "example")
    git.ensure(run, mirror, remote.as_uri(), wanted)
    shutil.rmtree(remote)
    git.ensure(run, mirror, remote.as_uri(), wanted)  # asks nobody
    git.checkout(run, mirror, wanted, tmp_path / "source")
    assert (tmp_path / "source" / "text").read_text() == "one"


def test_a_newer_commit_is_fetched_into_what_there_is(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    run, mirror = runner(tmp_path / "run"), tmp_path / "mirror"
    git.ensure(run, mirror, remote.as_uri(), repository(remote, {"text": "one"}))
    git.ensure(run, mirror, remote.as_uri(), commit(remote, {"text": "two"}))


def test_a_commit_on_no_branch_is_asked_for_by_itself(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    repository(remote, {"text": "one"})
    run_git(remote, "checkout", "--quiet", "--detach")
    wanted = commit(remote, {"text": "two"})
    run_git(remote, "update-ref", "refs/pull/1/head", wanted)
    run_git(remote, "checkout", "--quiet", "main")
    git.ensure(runner(tmp_path / "run"), tmp_path / "mirror", remote.as_uri(), wanted)


def test_a_commit_that_there_is_not_is_named(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    repository(remote, {"text": "one"})
    with pytest.raises(BuildError, match=f"{remote.as_uri()} has no commit {'1' * 40}"):
        git.ensure(runner(tmp_path / "run"), tmp_path / "mirror", remote.as_uri(), "1" * 40)


def test_a_tag_has_to_be_of_the_commit(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    first = repository(remote, {"text": "one"})
    run_git(remote, "tag", "--annotate", "--message", "x", "v1")
    second = commit(remote, {"text": "two"})
    run, mirror = runner(tmp_path / "run"), tmp_path / "mirror"
    git.ensure(run, mirror, remote.as_uri(), second)
    git.check_tag(run, mirror, "v1", first)
    with pytest.raises(BuildError, match=f"the tag v1 is of commit {first}, wanted is {second}"):
        git.check_tag(run, mirror, "v1", second)
    with pytest.raises(BuildError, match="the tag v2 is not in the repository"):
        git.check_tag(run, mirror, "v2", second)


def test_submodules_are_at_their_recorded_commits(tmp_path: Path) -> None:
    inner, middle, outer = (tmp_path / "remotes" / name for name in ("inner", "middle", "outer"))
    inside = repository(inner, {"text": "inner"})
    repository(middle, {"text": "middle"})
    run_git(middle, "submodule", "--quiet", "add", "../inner", "third/inner")
    between = commit(middle, {"text": "middle, with inner"})
    repository(outer, {"text": "outer"})
    run_git(outer, "submodule", "--quiet", "add", middle.as_uri(), "third_party/middle")
    wanted = commit(outer, {})
    for place in (inner, middle, outer):
        commit(place, {"text": "later"})
    run, root = runner(tmp_path / "run"), tmp_path / "root"
    top = git.Module("", outer.as_uri(), wanted, git.mirror_of(root, "example"))
    git.ensure(run, top.mirror, top.url, top.commit)
    found = git.fetch_modules(run, root, "example", top)
    assert {module.path: module.commit for module in found} == {
        "third_party/middle": between,
        "third_party/middle/third/inner": inside,
    }
    shutil.rmtree(tmp_path / "remotes")
    source = tmp_path / "source"
    git.checkout(run, top.mirror, wanted, source)
    for module in found:
        git.checkout(run, module.mirror, module.commit, source / module.path)
    assert (source / "third_party/middle/third/inner/text").read_text() == "inner"
    # What git itself thinks of it: nothing differs from the commit.
    assert run_git(source, "status", "--short") == ""


@pytest.mark.parametrize(
    ("parent", "url", "found"),
    [
        ("https://a.org/b/c.git", "https://d.org/e", "https://d.org/e"),
        ("https://a.org/b/c.git", "../e.git", "https://a.org/b/e.git"),
        ("https://a.org/b/c.git", "../../e", "https://a.org/e"),
        ("git@a.org:b/c.git", "../e.git", "git@a.org:b/e.git"),
        ("/srv/b/c", "../e", "/srv/b/e"),
        ("file:///srv/b/c", "./e", "file:///srv/b/c/e"),
    ],
)
def test_relative_addresses_are_seen_from_the_parents(parent: str, url: str, found: str) -> None:
    assert git.resolve(parent, url) == found


def diff(place: Path, name: str, before: str, after: str) -> Patch:
    """A change as git writes it."""
    (place / name).write_text(after)
    text = run_git(place, "diff") + "\n"
    (place / name).write_text(before)
    return Patch(f"{name}.patch", text)


def test_patches_are_applied_once_however_often_it_is_begun(tmp_path: Path) -> None:
    source = tmp_path / "source"
    repository(source, {"a": "one\n", "b": "one\n"})
    run = runner(tmp_path / "run")
    patches = (diff(source, "a", "one\n", "two\n"), diff(source, "b", "one\n", "three\n"))
    for _ in range(2):
        git.patch(run, source, patches, tmp_path / "patches")
        assert [(source / name).read_text() for name in "ab"] == ["two\n", "three\n"]


def test_a_patch_that_does_not_apply_is_named_with_its_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    repository(source, {"a": "one\n", "dir/b": "one\n"})
    bad = diff(source, "dir/b", "one\n", "two\n")
    commit(source, {"dir/b": "something else\n"})
    bad = Patch("mend.patch", bad.content)
    with pytest.raises(
        BuildError, match=r"patch mend.patch does not apply to dir/b at this commit"
    ):
        git.patch(runner(tmp_path / "run"), source, (bad,), tmp_path / "patches")
    gone = Patch("gone.patch", bad.content.replace("dir/b", "dir/c"))
    with pytest.raises(BuildError, match=r"patch gone.patch does not apply to dir/c"):
        git.patch(runner(tmp_path / "run"), source, (gone,), tmp_path / "patches")


def ask_git(env: dict[str, str], host: str) -> str:
    """What git would answer a host that asks for a password."""
    done = subprocess.run(
        ["git", "credential", "fill"],
        input=f"protocol=https\nhost={host}\n\n",
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout


def test_a_token_is_given_to_the_repositorys_host_alone() -> None:
    env = git.credentials("https://example.org/a/b.git", "me", "se'cret")
    assert "password=se'cret" in ask_git(env, "example.org").splitlines()
    assert "se'cret" not in ask_git(env, "other.example.org")
    assert git.credentials("https://example.org/a", "", "") == {}
    assert git.credentials("ssh://git@example.org/a", "me", "secret") == {}
