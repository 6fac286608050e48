#!/usr/bin/env python3
"""What the KV cache tiers of a running service are worth: TTFT on a miss and on reuse.

    .venv/bin/python benchmarks/kv_reuse.py http://10.20.0.11:8000=llama-3.3-70b
    .venv/bin/python benchmarks/kv_reuse.py http://10.20.0.11:8000=llama-3.3-70b \\
        --metrics http://10.20.0.101:9100/metrics --report with.json --baseline without.json

Asks for completions of distinct long prompts, all of them once in every round, a few at a time,
streamed. The first round is a miss, the others are reuse. To see a tier and not the GPU's own
cache, let the prompts be more tokens together than the GPUs hold, and fewer than the tier holds.

Two services, say one with FlexKV and one without, are named both (URL=MODEL URL=MODEL): they take
turns, round by round, and the table ends with the second one's figures over the first one's. Where
they cannot run at the same time, measure one with --report, deploy the other, and give the report
as --baseline: the same prompts again. --metrics, pages of the workers of the last service named,
says where the tokens of the prompts came from.

Exits 1 where a request failed.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import ansible.module_utils

sys.dont_write_bytecode = True
ansible.module_utils.__path__.append(
    str(Path(__file__).resolve().parent.parent / "library" / "module_utils")
)

from ansible.module_utils.dynfleet.verify import chat, metrics
from ansible.module_utils.dynfleet.verify.client import ask
from ansible.module_utils.dynfleet.verify.requests import body, complete

SOURCES = "vllm:prompt_tokens_by_source_total"
HEAD = ("service", "round", "failed", "TTFT p50 s", "p90 s", "wall s", "prompt", "cached")
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]


@dataclass
class Round:
    """All prompts once. Tokens are means of a request; sources are sums of the round."""

    service: str
    number: int
    failed: int
    p50: float  # seconds until the first text
    p90: float
    seconds: float  # of the whole round
    prompt: int
    cached: int
    sources: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def prompts(seed: int, count: int, words: int) -> list[str]:
    """Distinct texts, the same for the same seed; they differ from the first word on."""
    draw = random.Random(seed)  # noqa: S311
    word = ["".join(draw.choices(SYLLABLES, k=2)) for _ in range(1000)]
    return [f"{number} " + " ".join(draw.choices(word, k=words)) for number in range(count)]


def quantile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else float("nan")


def sources(pages: list[str]) -> dict[str, int]:
    """Prompt tokens by where they came from, since the workers' start."""
    found: dict[str, int] = {}
    for page in pages:
        answer = ask(page, 10)
        if answer.error or answer.status != 200:
            raise SystemExit(f"{page}: {answer.brief()}")
        for sample in metrics.samples(answer.body, SOURCES):
            name = sample.labels.get("source", "?")
            found[name] = found.get(name, 0) + int(sample.value)
    return found


def ask_all(service: str, number: int, texts: list[str], options: argparse.Namespace) -> Round:
    """One round on one service."""
    url, model = service.rsplit("=", 1)
    pages = options.metrics if service == options.service[-1] else []
    before, start = sources(pages), time.monotonic()
    with ThreadPoolExecutor(options.concurrency) as pool:
        replies = list(
            pool.map(
                lambda text: complete(
                    url.rstrip("/"), body(model, text, options.tokens, True), options.timeout
                ),
                texts,
            )
        )
    seconds = time.monotonic() - start
    wrong = [chat.problems(reply, options.tokens, True) for reply in replies]
    good = [reply for reply, found in zip(replies, wrong) if not found]
    first = [reply.ttft for reply in good if reply.ttft is not None]
    after = sources(pages)
    return Round(
        service,
        number,
        len(replies) - len(good),
        quantile(first, 0.5),
        quantile(first, 0.9),
        seconds,
        sum(reply.tokens("prompt") for reply in good) // max(1, len(good)),
        sum(chat.cached_tokens(reply)[0] for reply in good) // max(1, len(good)),
        {name: value - before.get(name, 0) for name, value in after.items()},
        sorted({f"{p['check']}: {p['seen']}" for found in wrong for p in found})[:5],
    )


def line(cells: tuple[str, ...], width: int) -> str:
    return f"{cells[0]:{width}}" + "".join(f"{cell:>12}" for cell in cells[1:])


def show(found: Round, width: int) -> None:
    """A round as a line of the table."""
    print(
        line(
            (
                found.service,
                str(found.number),
                str(found.failed),
                f"{found.p50:.3f}",
                f"{found.p90:.3f}",
                f"{found.seconds:.2f}",
                str(found.prompt),
                str(found.cached),
            ),
            width,
        ),
        flush=True,
    )
    if any(found.sources.values()):
        said = ", ".join(f"{name} {value}" for name, value in sorted(found.sources.items()))
        print(f"{'':{width}}  prompt tokens by source: {said}")
    for error in found.errors:
        print(f"{'':{width}}  {error}")


def compare(base: list[Round], other: list[Round]) -> None:
    """The other service's times over the base's, round by round."""
    print(f"\nTimes of {other[0].service} over those of {base[0].service}:")
    for one, two in zip(base, other):
        kind = "asked first" if one.number == 1 else "asked again"
        print(
            f"  round {one.number}, {kind}: TTFT p50 {two.p50 / one.p50:.2f}, "
            f"p90 {two.p90 / one.p90:.2f}, wall {two.seconds / one.seconds:.2f}"
        )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("service", nargs="+", metavar="URL=MODEL")
    parser.add_argument("--prompts", type=int, default=30)
    parser.add_argument("--words", type=int, default=1000, help="words of a prompt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=8, help="tokens of an answer")
    parser.add_argument("--timeout", type=float, default=120, help="seconds of a request")
    parser.add_argument("--seed", type=int, help="of the prompts; another one every time")
    parser.add_argument("--metrics", action="append", default=[], metavar="URL")
    parser.add_argument("--report", type=Path, help="write the figures, as JSON")
    parser.add_argument("--baseline", type=Path, help="compare with the last service of a report")
    options = parser.parse_args()
    if len(options.service) > 2 or not all("=" in service for service in options.service):
        parser.error("name one or two services, each as URL=MODEL")
    if len(options.service) == 2 and options.baseline:
        parser.error("a second service and a baseline: leave one of them out")
    return options


def main() -> int:
    """Entry point."""
    options = arguments()
    base = []
    if options.baseline:
        report = json.loads(options.baseline.read_text())
        for name in ("prompts", "words", "rounds", "concurrency", "tokens", "seed"):
            setattr(options, name, report["load"][name])
        base = [Round(**found) for found in report["rounds"]]
        base = [found for found in base if found.service == base[-1].service]
        for found in base:
            found.service += f" ({options.baseline.name})"
    if options.seed is None:
        options.seed = secrets.randbelow(1 << 32)
    load = {
        name: getattr(options, name)
        for name in ("prompts", "words", "rounds", "concurrency", "tokens", "seed")
    }
    print(", ".join(f"{name} {value}" for name, value in load.items()))
    texts = prompts(options.seed, options.prompts, options.words)
    width = max(len(name) for name in [*options.service, *(found.service for found in base)]) + 1
    print(line(HEAD, width))
    for found in base:
        show(found, width)
    rounds = []
    for number in range(1, options.rounds + 1):
        for service in options.service:
            rounds.append(ask_all(service, number, texts, options))
            show(rounds[-1], width)
    first = base or [found for found in rounds if found.service == options.service[0]]
    last = [found for found in rounds if found.service == options.service[-1]]
    if base or len(options.service) == 2:
        compare(first, last)
    if options.report:
        content = {"load": load, "rounds": [asdict(found) for found in rounds]}
        options.report.write_text(json.dumps(content, indent=1) + "\n")
    return int(any(found.failed for found in rounds))


if __name__ == "__main__":
    sys.exit(main())
