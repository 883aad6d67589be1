"""Opens incidents with 32, 128 and 512 concurrent clients and prints what the service makes of it.

Run it with `make bench`, or `python -m benchmarks.open_incidents --seconds 10 --clients 32 128 512`. The clients run
on the same machine, in one process, over plain sockets that are kept open.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import urlsplit

from benchmarks.service import access_token, running_service

STALL_SECONDS = 1.0
WARM_UP_SECONDS = 2.0
REQUIRED_RATIO = 0.8
BODY = json.dumps(
    {"title": "Database connection failed", "severity": "high", "service": "database", "description": "x" * 200}
).encode()


@dataclass
class Result:
    """What the clients of one run saw."""

    clients: int
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    finished_at: list[float] = field(default_factory=list)

    @property
    def throughput(self) -> float:
        return self.statuses[201] / self.seconds

    @property
    def longest_gap(self) -> float:
        """The longest time in which no request finished."""
        times = sorted(self.finished_at)
        return max((later - earlier for earlier, later in pairwise(times)), default=self.seconds)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

    def line(self) -> str:
        return (
            f"{self.clients:>7}  {self.throughput:>10.0f}  {self.percentile(0.5) * 1000:>8.0f}  "
            f"{self.percentile(0.99) * 1000:>8.0f}  {self.longest_gap * 1000:>9.0f}  {dict(self.statuses)}"
        )


async def _client(address: tuple[str, int], request: bytes, until: float, result: Result) -> None:
    reader, writer = await asyncio.open_connection(*address)
    while (started := time.monotonic()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        finished = time.monotonic()
        result.statuses[int(head[9:12])] += 1
        result.latencies.append(finished - started)
        result.finished_at.append(finished)
    writer.close()


async def _run(base_url: str, token: str, clients: int, seconds: float) -> Result:
    parts = urlsplit(base_url)
    head = (
        f"POST /v1/incidents HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    result = Result(clients)
    started = time.monotonic()
    request = head.encode() + BODY
    address = (parts.hostname or "", parts.port or 80)
    await asyncio.gather(*(_client(address, request, started + seconds, result) for _ in range(clients)))
    result.seconds = time.monotonic() - started
    return result


def main() -> int:
    """Run, print a table; 1 if anything failed, stalled, or fell off under load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--processes", default="1", help="WEB_CONCURRENCY of the service")
    arguments = parser.parse_args()
    with running_service(WEB_CONCURRENCY=arguments.processes) as base_url:
        token = access_token(base_url)
        asyncio.run(_run(base_url, token, 8, WARM_UP_SECONDS))
        print("clients  incidents/s  p50 (ms)  p99 (ms)  gap (ms)  answers")
        results = []
        for clients in arguments.clients:
            results.append(asyncio.run(_run(base_url, token, clients, arguments.seconds)))
            print(results[-1].line(), flush=True)
    ratio = results[-1].throughput / results[0].throughput
    failed = sum(count for result in results for status, count in result.statuses.items() if status != 201)
    stalled = [result.clients for result in results if result.longest_gap > STALL_SECONDS]
    print(f"ratio {ratio:.2f} (at least {REQUIRED_RATIO}), {failed} failed, stalled at {stalled or 'no load'}")
    return int(ratio < REQUIRED_RATIO or failed > 0 or bool(stalled))


if __name__ == "__main__":
    sys.exit(main())
