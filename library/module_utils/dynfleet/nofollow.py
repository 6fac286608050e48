"""Paths walked by descriptor, for root in directories that another user can write.

A link is followed only where root alone can have made it: `/srv -> /data/srv` of an operator works,
a link that the service user planted is refused by name. A directory that was checked stays the one
that is used, whatever happens to its name meanwhile.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Union

AnyPath = Union[str, Path]

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# As many as the kernel follows (path_resolution(7)).
_MOST_LINKS = 40


class UnsafePath(OSError):
    """Somebody other than root decides where a path leads; the message names it and the fix."""

    def __init__(self, path: AnyPath, why: str) -> None:
        super().__init__(errno.ELOOP, why, str(path))

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def _is_ours(info: os.stat_result) -> bool:
    return info.st_uid in (0, os.geteuid())


def only_root_writes(info: os.stat_result) -> bool:
    """Whether nobody but root can change the names in a directory.

    An access control list that lets others write shows as the group's permission.
    """
    by_group = info.st_mode & stat.S_IWGRP and info.st_gid != 0
    return _is_ours(info) and not by_group and not info.st_mode & stat.S_IWOTH


def _trusted(directory: int, link: os.stat_result) -> bool:
    """Whether root alone can have made a link; in a sticky directory its owner tells."""
    above = os.fstat(directory)
    sticky = _is_ours(above) and above.st_mode & stat.S_ISVTX
    return _is_ours(link) and bool(only_root_writes(above) or sticky)


def _lstat(name: str, directory: int) -> os.stat_result:
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def _refuse(path: AnyPath, link: os.stat_result, directory: int) -> UnsafePath:
    above = os.fstat(directory).st_uid
    return UnsafePath(
        path,
        f"is a symbolic link of uid {link.st_uid} in a directory of uid {above} and is not "
        "followed. Remove it, or let root alone own and write both",
    )


def _made(name: str, directory: int) -> int:
    """A missing directory, made for all to enter whatever the umask is."""
    try:
        os.mkdir(name, 0o755, dir_fd=directory)
    except FileExistsError:  # another run's
        return os.open(name, _STEP, dir_fd=directory)
    handle = os.open(name, _LIST, dir_fd=directory)
    os.fchmod(handle, 0o755)
    return handle


def _walk(path: AnyPath, make: bool) -> int:
    """Descriptor (O_PATH) of a directory. Raises OSError with the path, UnsafePath."""
    todo = [part for part in reversed(str(path).split("/")) if part not in ("", ".")]
    handle = os.open("/", _STEP)
    links = 0
    try:
        while todo:
            name = todo.pop()
            try:
                step = os.open(name, _STEP, dir_fd=handle)
            except FileNotFoundError as error:
                if not make:
                    raise FileNotFoundError(error.errno, error.strerror, str(path)) from None
                step = _made(name, handle)
            except NotADirectoryError as error:
                info = _lstat(name, handle)
                if not stat.S_ISLNK(info.st_mode):
                    raise NotADirectoryError(error.errno, error.strerror, str(path)) from None
                links += 1
                if not _trusted(handle, info):
                    raise _refuse(_so_far(handle, name), info, handle) from None
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None
                target = os.readlink(name, dir_fd=handle)
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                step = os.open("/" if target.startswith("/") else ".", _STEP, dir_fd=handle)
            os.close(handle)
            handle = step
    except BaseException:
        os.close(handle)
        raise
    return handle


def _so_far(directory: int, name: str) -> str:
    """Where a descriptor is now, and a name in it."""
    return str(Path(f"/proc/self/fd/{directory}").readlink() / name)


@contextmanager
def opened(path: AnyPath, make: bool = False) -> Iterator[int]:
    """Descriptor of a directory, to read and to change. make: with what is missing above it."""
    step = _walk(path, make)
    try:
        with opened_at(step, ".") as handle:
            yield handle
    finally:
        os.close(step)


@contextmanager
def opened_at(directory: int, name: str) -> Iterator[int]:
    """The same of a name in an open directory."""
    handle = os.open(name, _LIST, dir_fd=directory)
    try:
        yield handle
    finally:
        os.close(handle)


def listed(directory: int) -> list[str]:
    """Names in an open directory."""
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries)


@contextmanager
def parent(path: AnyPath, make: bool = False) -> Iterator[tuple[int, str]]:
    """Descriptor of the directory that holds a name, and the name, which is not followed."""
    above, _, name = str(path).rstrip("/").rpartition("/")
    if not above and not str(path).startswith("/"):
        raise ValueError(f"{path} is not absolute")
    if name in ("", ".", ".."):
        raise ValueError(f"{path} names nothing in a directory")
    with opened(above or "/", make) as handle:
        yield handle, name


def status(path: AnyPath) -> os.stat_result:
    """As os.stat. Raises UnsafePath where it would follow another user's link."""
    with parent(path) as (directory, name):
        info = _lstat(name, directory)
        if not stat.S_ISLNK(info.st_mode):
            return info
        if not _trusted(directory, info):
            raise _refuse(path, info, directory)
        target = os.readlink(name, dir_fd=directory)
        base = Path(f"/proc/self/fd/{directory}").readlink()
    return status(base / target)


def make_directory(path: AnyPath, uid: int, gid: int, mode: int) -> None:
    """A directory with its parents, and its owner, group and mode. Raises UnsafePath, OSError."""
    with opened(path, make=True) as handle:
        os.fchown(handle, uid, gid)
        os.fchmod(handle, mode)


def make_at(directory: int, name: str, uid: int, gid: int) -> None:
    """A new directory in an open one, for its owner alone. Raises OSError where it is there."""
    os.mkdir(name, 0o700, dir_fd=directory)
    with opened_at(directory, name) as handle:
        os.fchown(handle, uid, gid)


@contextmanager
def private(path: AnyPath) -> Iterator[Path]:
    """A directory of root's alone, made or there already: a path to it for this process and its
    children, which leads there even if the name is swapped. Raises UnsafePath for another's.
    """
    with parent(path, make=True) as (directory, name):
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=directory)
        info = _lstat(name, directory)
        if not stat.S_ISDIR(info.st_mode) or not only_root_writes(info):
            kind = "directory" if stat.S_ISDIR(info.st_mode) else "link or file"
            raise UnsafePath(
                path, f"is a {kind} that uid {info.st_uid} made or others can write: remove it"
            )
        with opened_at(directory, name) as handle:
            yield Path(f"/proc/{os.getpid()}/fd/{handle}")


def same(path: AnyPath, other: AnyPath) -> bool:
    """Whether a name is that directory itself, and no link to it. other: followed."""
    info, wanted = Path(path).lstat(), Path(other).stat()
    return (info.st_dev, info.st_ino) == (wanted.st_dev, wanted.st_ino)


def write(path: AnyPath, content: bytes, uid: int, gid: int, mode: int) -> None:
    """Replace a file in one step: a reader sees the old content or the new, never a part.

    Owner and mode are set before the name appears, so that a secret is never readable by others.
    A link of that name is replaced, not followed; so is a file that has other names too.
    """
    with parent(path, make=True) as (directory, name):
        temporary = f".{name}.{secrets.token_hex(6)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(temporary, flags, 0o600, dir_fd=directory)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                os.fchown(stream.fileno(), uid, gid)
                os.fchmod(stream.fileno(), mode)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.unlink(temporary, dir_fd=directory)
            raise


def unlink(path: AnyPath) -> None:
    """Remove a file or a link; one that is not there is no error."""
    with suppress(FileNotFoundError), parent(path) as (directory, name):
        os.unlink(name, dir_fd=directory)


def remove_tree(path: AnyPath) -> None:
    """Remove a directory with all below it; one that is not there is no error."""
    with suppress(FileNotFoundError), parent(path) as (directory, name):
        remove_tree_at(directory, name)


def remove_tree_at(directory: int, name: str) -> None:
    """The same by the descriptor of its directory (rmtree opens what is below by descriptor). A
    link goes itself."""
    if stat.S_ISDIR(_lstat(name, directory).st_mode):
        shutil.rmtree(f"/proc/self/fd/{directory}/{name}")
    else:
        os.unlink(name, dir_fd=directory)
