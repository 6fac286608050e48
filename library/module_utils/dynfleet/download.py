"""Files from a URL whose digest is known before contact."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path


class DownloadError(Exception):
    """The file could not be had, or is not the one that was named."""


def download(url: str, sha256: str, target: Path, direct: bool = False) -> None:
    """Fetch a file and check its digest; whatever fails leaves no file behind.

    direct: past the host's proxy, for addresses of the private network.
    """
    handlers = [urllib.request.ProxyHandler({})] if direct else []
    opener = urllib.request.build_opener(*handlers)
    digest = hashlib.sha256()
    try:
        with opener.open(url, timeout=60) as answer, target.open("wb") as out:
            for block in iter(lambda: answer.read(1 << 20), b""):
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != sha256.lower():
            raise DownloadError(
                f"{url} has sha256 {digest.hexdigest()}, wanted is {sha256.lower()}"
            )
    except (OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        raise DownloadError(f"cannot fetch {url}: {error}") from error
    except DownloadError:
        target.unlink()
        raise
