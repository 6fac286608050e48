"""One request of a load: what came back, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.dynfleet.verify import chat

# What happened to a request. FAILED gave its client no text, TRUNCATED a part of it.
WHOLE, FAILED, TRUNCATED, WRONG = "whole", "failed", "truncated", "wrong"


@dataclass
class Record:
    """One request from its first attempt to its end; times in seconds since the epoch."""

    started: float
    frontend: str  # base URL of the last one that was asked
    wanted: int  # tokens
    ended: float = 0.0
    outcome: str = WHOLE
    reason: str = ""
    tokens: int = 0  # completion tokens as the service counts them
    ttft: float | None = None  # seconds until the first text
    longest_gap: float = 0.0  # seconds between two pieces of text
    gap_ended: float = 0.0  # when the longest gap was over
    workers: list[int] = field(default_factory=list)  # instances that wrote it, in order
    moved: list[str] = field(
        default_factory=list
    )  # why another frontend was asked, before it began

    @property
    def migrated(self) -> bool:
        """Whether more than one worker wrote the answer, as far as the answer says."""
        return len(self.workers) > 1


def judge(record: Record, reply: chat.Reply, words: bool) -> None:
    """Set outcome and reason from what was read.

    words: every token of this model is one word, so that the text itself can be counted.
    """
    record.tokens = reply.tokens("completion")
    found = chat.problems(reply, record.wanted, streamed=True)
    if not found and record.tokens != record.wanted:
        # The request told the engine to go on: an early stop is no whole answer.
        found = [_problem("usage.completion_tokens", record.wanted, record.tokens)]
    count = len(reply.content.split())
    if not found and words and count != record.wanted:
        found = [_problem("words of the text", record.wanted, count)]
    if not found:
        record.outcome = WHOLE
        return
    record.reason = f"{found[0]['check']}: {found[0]['seen']}"
    if not reply.content:
        record.outcome = FAILED
    elif reply.error or not reply.done or count < record.wanted:
        record.outcome = TRUNCATED
    else:
        record.outcome = WRONG


def _problem(check: str, expected: int, seen: int) -> dict[str, Any]:
    return {"check": check, "expected": str(expected), "seen": f"{seen}, wanted {expected}"}
