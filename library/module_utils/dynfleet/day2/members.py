"""Members of etcd, NATS servers and frontends, asked over HTTP: whether they serve, who leads."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.dynfleet.day2 import routing
from ansible.module_utils.dynfleet.verify import client, metrics, units

ASK_SECONDS = 5.0
MOVE_SECONDS = 10.0  # until another member leads
Member = Mapping[str, Any]  # url of its health endpoint, answer: what its JSON has to say


class Short(Exception):
    """Too few members serve; the message says who does not, and why."""


def base(url: str) -> str:
    """The root of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def unhealthy(member: Member) -> str:
    """Why a member is not healthy, by its health endpoint; empty where it is."""
    answer = client.ask(member["url"], ASK_SECONDS)
    good = units.healthy(answer.status, answer.document(), member.get("answer") or {})
    return "" if good else f"{member['url']} says {answer.brief()}"


def each(members: Mapping[str, Member], ask: Callable[[Member], Any]) -> dict[str, Any]:
    """The answer of every member, asked at the same time."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return dict(zip(members, pool.map(ask, members.values())))


def frontends(members: Mapping[str, Member]) -> dict[str, str]:
    """Why each frontend does not serve; nor does one whose router alone has no worker."""
    said: dict[str, str] = each(members, unhealthy)
    pages = routing.pages([base(member["url"]) for member in members.values()])
    routed = {url: bool(metrics.registered(page.body)) for url, page in pages.items()}
    for name, member in members.items():
        url = base(member["url"])
        if not said[name] and any(routed.values()) and not routed[url]:
            said[name] = f"the router of {url} has no worker"
    return said


def health(group: str, members: Mapping[str, Member]) -> dict[str, str]:
    """By host, why a member of a group does not serve; empty where it does."""
    return frontends(members) if group == "frontends" else each(members, unhealthy)


def wait_enough(
    group: str, members: Mapping[str, Member], mine: str, needed: int, seconds: float
) -> None:
    """Wait until so many members besides `mine` (its URL) serve. Raises Short after ``seconds``."""
    deadline = time.monotonic() + seconds
    while needed:
        every = health(group, members)
        said = {name: why for name, why in every.items() if members[name]["url"] != mine}
        good = sum(not why for why in said.values())
        if good >= needed:
            return
        if time.monotonic() > deadline:
            raise Short(
                f"was not touched: {good} of the other {len(said)} serve, {needed} have to be "
                f"left ({'; '.join(f'{name}: {why}' for name, why in said.items() if why)}). "
                "Fix them and run again; if an interruption is acceptable, set "
                "roll_allow_outage: true"
            )
        time.sleep(1)


def _etcd_status(url: str) -> dict[str, Any]:
    document = client.ask(f"{base(url)}/v3/maintenance/status", ASK_SECONDS, {}).document()
    return document if isinstance(document, dict) else {}


def _etcd_id(status: Mapping[str, Any]) -> str:
    return str((status.get("header") or {}).get("member_id", ""))


def leads_etcd(member: Member) -> bool:
    """Whether a member is the leader of etcd."""
    status = _etcd_status(member["url"])
    return bool(status.get("leader")) and str(status["leader"]) == _etcd_id(status)


def leads_nats(member: Member) -> bool:
    """Whether a server leads JetStream: it alone knows its own name."""
    root = base(member["url"])
    seen = [client.ask(f"{root}/{page}", ASK_SECONDS).document() for page in ("jsz", "varz")]
    jsz, varz = (page if isinstance(page, dict) else {} for page in seen)
    leader = (jsz.get("meta_cluster") or {}).get("leader")
    return bool(leader) and leader == varz.get("server_name")


LEADS = {"etcd": leads_etcd, "nats": leads_nats}


def leader(group: str, members: Mapping[str, Member]) -> str | None:
    """The host whose member leads; None where none does, or the group has no leader."""
    if group not in LEADS or len(members) < 2:
        return None
    leads = each(members, LEADS[group])
    return next((name for name, so in leads.items() if so), None)


def hand_over(group: str, mine: Member, others: Mapping[str, Member]) -> str:
    """Move the leadership of etcd from a member to another; the host that has it then.

    Empty where the member does not lead, or no other is healthy. NATS has no such call without
    an account for its system, which these servers lack; one that is stopped steps down by itself.
    Raises Short where the leadership does not move.
    """
    if group != "etcd" or not others or not leads_etcd(mine):
        return ""
    good = [name for name, why in health(group, others).items() if not why]
    root, deadline = base(mine["url"]), time.monotonic() + MOVE_SECONDS
    for name in itertools.cycle(good):
        target = {"targetID": _etcd_id(_etcd_status(others[name]["url"]))}
        answer = client.ask(f"{root}/v3/maintenance/transfer-leadership", ASK_SECONDS, target)
        now = [other for other, leads in each(others, leads_etcd).items() if leads]
        if now:
            return now[0]
        if time.monotonic() > deadline:
            raise Short(
                f"was not touched: it leads, and {name} does not take over: {answer.brief()}"
            )
        time.sleep(0.5)
    return ""
