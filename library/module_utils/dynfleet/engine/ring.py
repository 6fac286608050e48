"""Data written and read back through an io_uring past the page cache, as FlexKV does on SSDs.

Runs by itself, as text given to a Python inside a sandbox: standard library only, and the kernel's
own calls (include/uapi/linux/io_uring.h), so that nothing has to be installed first.
Arguments: directories. Prints JSON, each text empty where all is well: `library` (why liburing.so.2
does not load), `ring` (why there is no ring), `directories` (why it does not work, by directory).
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import struct
import sys
import tempfile

# The numbers of the calls are the same on every architecture that has them since Linux 5.1.
SETUP, ENTER = 425, 426
ENTRIES = 4
OFFSET_RING, OFFSET_ENTRIES = 0, 0x10000000
READ, WRITE = 22, 23
GETEVENTS = 1
ENTRY_BYTES, COMPLETION_BYTES = 64, 16
# 120 bytes: ten numbers of 32 bits, then the offsets of both rings, 40 bytes each.
PARAMETERS = struct.Struct("10I 8IQ 8IQ")
BYTES = 1 << 20

libc = ctypes.CDLL(None, use_errno=True)


class NoRing(Exception):
    """Why it does not work."""


def call(number: int, *arguments: object) -> int:
    """A system call. Raises OSError."""
    result: int = libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class Ring:
    """One submission at a time, each waited for."""

    def __init__(self) -> None:
        raw = ctypes.create_string_buffer(PARAMETERS.size)
        self.fd = call(SETUP, ctypes.c_uint(ENTRIES), raw)
        found = PARAMETERS.unpack(raw.raw)
        submission, completion = found[10:19], found[19:28]
        self.tail, self.mask, self.array = submission[1], submission[2], submission[6]
        self.head, self.completion_mask = completion[0], completion[2]
        self.completions = completion[5]
        # One mapping holds both rings since Linux 5.4; two serve older kernels too.
        self.submitting = mmap.mmap(self.fd, self.array + 4 * found[0], offset=OFFSET_RING)
        size = self.completions + COMPLETION_BYTES * found[1]
        self.completing = mmap.mmap(self.fd, size, offset=0x8000000)
        self.entries = mmap.mmap(self.fd, ENTRY_BYTES * found[0], offset=OFFSET_ENTRIES)

    def transfer(self, operation: int, file: int, address: int, size: int, offset: int) -> None:
        """Read or write, whole. Raises OSError."""
        (tail,) = struct.unpack_from("I", self.submitting, self.tail)
        (mask,) = struct.unpack_from("I", self.submitting, self.mask)
        slot = tail & mask
        entry = struct.pack("BBHiQQIIQ", operation, 0, 0, file, offset, address, size, 0, 1)
        at = slot * ENTRY_BYTES
        self.entries[at : at + ENTRY_BYTES] = entry.ljust(ENTRY_BYTES, b"\0")
        struct.pack_into("I", self.submitting, self.array + 4 * slot, slot)
        struct.pack_into("I", self.submitting, self.tail, (tail + 1) & 0xFFFFFFFF)
        call(ENTER, self.fd, 1, 1, GETEVENTS, None, ctypes.c_size_t(0))
        (head,) = struct.unpack_from("I", self.completing, self.head)
        (mask,) = struct.unpack_from("I", self.completing, self.completion_mask)
        at = self.completions + (head & mask) * COMPLETION_BYTES
        _, done, _ = struct.unpack_from("QiI", self.completing, at)
        struct.pack_into("I", self.completing, self.head, (head + 1) & 0xFFFFFFFF)
        if done < 0:
            raise OSError(-done, os.strerror(-done))
        if done != size:
            raise OSError(errno.EIO, f"only {done} of {size} bytes")


def address(memory: mmap.mmap) -> int:
    """Where page-aligned memory is."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def try_directory(ring: Ring, path: str) -> None:
    """Write random data, read it into other memory, compare. Raises NoRing."""
    out, back = mmap.mmap(-1, BYTES), mmap.mmap(-1, BYTES)
    out[:] = os.urandom(BYTES)
    step = f"making a file in {path}"
    try:
        handle, name = tempfile.mkstemp(prefix=".dynfleet-", dir=path)
        try:
            os.close(handle)
            step = f"opening a file in {path} with O_DIRECT"
            file = os.open(name, os.O_RDWR | os.O_DIRECT)
            try:
                step = f"writing in {path} through the ring"
                ring.transfer(WRITE, file, address(out), BYTES, 0)
                os.fsync(file)
                step = f"reading in {path} through the ring"
                ring.transfer(READ, file, address(back), BYTES, 0)
            finally:
                os.close(file)
        finally:
            os.unlink(name)  # noqa: PTH108
    except OSError as error:
        raise NoRing(f"{step} fails: {error.strerror}") from error
    if out[:] != back[:]:
        raise NoRing(f"what was read back in {path} is not what was written")


def main() -> None:
    """Entry point."""
    library = ring = ""
    directories: dict[str, str] = {}
    try:
        ctypes.CDLL("liburing.so.2")
    except OSError as error:
        library = str(error)
    try:
        made = Ring()
    except OSError as error:
        ring = error.strerror or str(error)
    else:
        for path in sys.argv[1:]:
            try:
                try_directory(made, path)
                directories[path] = ""
            except NoRing as error:
                directories[path] = str(error)
    print(json.dumps({"library": library, "ring": ring, "directories": directories}))


if __name__ == "__main__":
    main()
