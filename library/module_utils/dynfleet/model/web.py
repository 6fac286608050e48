"""Files over HTTP: parts of them, a token that stays with its host, redirects, proxies."""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Callable
from urllib.parse import urljoin, urlsplit

from ansible.module_utils.dynfleet.model.manifest import File
from ansible.module_utils.dynfleet.model.piece import FetchError, Piece, Unanswered

BLOCK = 1 << 20
# Seconds without a byte.
IDLE = 60
TRY_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?')
BROKEN = (OSError, http.client.HTTPException)


class SameHostToken(urllib.request.HTTPRedirectHandler):
    """Redirects as usual, but a token goes on only to the host that it is for."""

    def redirect_request(self, req: Any, *rest: Any) -> Any:
        """The request that follows. rest: answer, code, message, headers, new URL."""
        following = super().redirect_request(req, *rest)
        token = req.unredirected_hdrs.get("Authorization")
        if following is not None and token:
            old, new = urlsplit(req.full_url), urlsplit(rest[-1])
            if (old.scheme, old.netloc) == (new.scheme, new.netloc):
                following.add_unredirected_header("Authorization", token)
        return following


def is_private(url: str) -> bool:
    """Whether a URL names a literal private address, which no proxy of the site's reaches."""
    try:
        return ipaddress.ip_address(urlsplit(url).hostname or "").is_private
    except ValueError:
        return False


class Client:
    """HTTP with a token. The proxy is the environment's; the host's authorities are trusted."""

    def __init__(self, token: str = "", idle: float = IDLE) -> None:
        self.token = token
        self.idle = idle
        self.direct = urllib.request.build_opener(SameHostToken(), urllib.request.ProxyHandler({}))
        self.proxied = urllib.request.build_opener(SameHostToken())

    def get(self, url: str, headers: dict[str, str]) -> Any:
        """An open answer of status 200 or 206."""
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", **headers})  # noqa: S310
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        opener = self.direct if is_private(url) else self.proxied
        try:
            return opener.open(request, timeout=self.idle)
        except urllib.error.HTTPError as error:
            with error:
                raise self.refusal(url, error) from error
        except BROKEN as error:
            raise Unanswered(f"{url}: {getattr(error, 'reason', '') or repr(error)}") from error

    def refusal(self, url: str, error: urllib.error.HTTPError) -> FetchError | Unanswered:
        """What a status stands for."""
        said = f"{url}: HTTP {error.code} {error.reason}"
        if error.code in TRY_AGAIN:
            pause = error.headers.get("Retry-After") or ""
            return Unanswered(said, float(pause) if pause.isdigit() else 0)
        if error.code in (401, 403):
            why = "the token is not good for this" if self.token else "it may want a token"
            return FetchError(f"{said}: {why} (model_token)")
        if error.code == 416:
            return FetchError(f"{said}: the file is shorter there than the list of files says")
        return FetchError(said)

    def pages(self, url: str) -> Iterator[Any]:
        """JSON of a URL and of the pages that its Link header names."""
        while url:
            with self.get(url, {}) as answer:
                following = _NEXT.search(answer.headers.get("Link") or "")
                try:
                    content = json.load(answer)
                except ValueError as error:
                    raise FetchError(f"{url}: answers something that is no JSON") from error
                except BROKEN as error:
                    raise Unanswered(f"{url}: {error!r}") from error
            yield content
            url = urljoin(url, following.group(1)) if following else ""


class WebReader:
    """Files at addresses."""

    def __init__(self, client: Client, url: Callable[[str], str]) -> None:
        self.client = client
        self.url = url

    def open(self, file: File, start: int, end: int, validator: str) -> Piece:
        """See Reader."""
        url = self.url(file.path)
        headers = {"Range": f"bytes={start}-{end - 1}"}
        if validator:
            headers["If-Range"] = validator
        answer = self.client.get(url, headers)
        try:
            whole = answer.status != 206
            first, size = (0, answer.length) if whole else _part(answer)
            if size not in (file.size, None) or (not whole and first != start):
                raise FetchError(
                    f"{url}: has {size} bytes, the list of files says {file.size}"
                    if size != file.size
                    else f"{url}: was asked from byte {start} on and answers from {first}"
                )
        except BaseException:
            answer.close()
            raise
        return Piece(_blocks(answer, url), whole, _validator(answer), answer.close)


def _part(answer: Any) -> tuple[int, int | None]:
    """First byte and full size that a partial answer says."""
    match = _RANGE.fullmatch(answer.headers.get("Content-Range") or "")
    return (int(match.group(1)), int(match.group(3))) if match else (-1, None)


def _validator(answer: Any) -> str:
    """What If-Range takes: a strong ETag, else a date (RFC 9110, 13.1.5)."""
    tag = answer.headers.get("ETag") or ""
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified") or ""


def _blocks(answer: Any, url: str) -> Iterator[bytes]:
    with answer:
        try:
            while block := answer.read(BLOCK):
                yield block
        except BROKEN as error:
            raise Unanswered(f"{url}: broke off ({error!r})") from error
