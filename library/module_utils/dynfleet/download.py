"""Files from a URL whose digest is known before contact."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from pathlib import Path


class DownloadError(Exception):
    """The file could not be had, or is not the one that was named."""


def download(url: str, sha256: str, target: Path, direct: bool = False) -> None:
    """Fetch a file and check its digest; whatever fails leaves no file behind.

    direct: past the host's proxy, for addresses of the private network. Raises DownloadError, which
    tells a connection that broke off from a file that is another one.
    """
    handlers = [urllib.request.ProxyHandler({})] if direct else []
    opener = urllib.request.build_opener(*handlers)
    digest = hashlib.sha256()
    size, length = 0, None
    try:
        with opener.open(url, timeout=60) as answer, target.open("wb") as out:
            length = _length(answer)
            for block in iter(lambda: answer.read(1 << 20), b""):
                digest.update(block)
                out.write(block)
                size += len(block)
        if length is not None and size < length:
            raise _broken(url, f"after {size} of {length} bytes")
        if digest.hexdigest() != sha256.lower():
            raise DownloadError(
                f"{url} has sha256 {digest.hexdigest()}, wanted is {sha256.lower()}"
                + ("" if length is not None else f" ({size} bytes; its server says no length)")
            )
    except http.client.IncompleteRead as error:
        target.unlink(missing_ok=True)
        where = "before the last part that its server announced"
        if length is not None:
            where = f"after {size + len(error.partial)} of {length} bytes"
        raise _broken(url, where) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        target.unlink(missing_ok=True)
        raise DownloadError(f"cannot fetch {url}: {error}") from error
    except DownloadError:
        target.unlink()
        raise


def _length(answer: object) -> int | None:
    """Bytes that the server has announced; None where it does not say."""
    headers = getattr(answer, "headers", None)
    text = headers.get("Content-Length") if headers is not None else None
    return int(text) if text and text.isdigit() else None


def _broken(url: str, where: str) -> DownloadError:
    return DownloadError(
        f"{url} ended {where}: the connection broke off. Nothing of it was kept; run this again"
    )
