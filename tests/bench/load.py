"""A load generator that costs little: one thread, one selector, keep-alive connections with requests made beforehand.

Run as `python -m tests.bench.load` with a JSON description on stdin; prints a JSON result. Imports nothing of the product.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import os
import selectors
import socket
import sys
import time
from typing import Any


class Caller:
    """One connection that sends its next request as soon as it has the whole answer to the last one."""

    def __init__(self, port: int, head: str, body: str, number: int, secret: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head, self.body, self.number, self.secret = head, body, number, secret
        self.asked = 0
        self.received = b""
        self.since = 0.0

    def ask(self, run: str) -> None:
        self.asked += 1
        key, sender = f"{run}-{self.number}-{self.asked}", f"{run}-{self.number}-{(self.asked - 1) // 2}"
        body = self.body.replace("KEY", key).replace("SENDER", sender).encode()  # everybody speaks twice
        head = self.head + (signed(key, body, self.secret) if self.secret else "")
        self.since = time.perf_counter()
        self.socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def hear(self) -> int | None:
        """Read what is there; the status once the answer is whole, 0 when the server hung up."""
        more = self.socket.recv(65536)
        if not more:
            return 0
        self.received += more
        head, gap, rest = self.received.partition(b"\r\n\r\n")
        if not gap:
            return None
        at = head.lower().find(b"content-length:")
        if len(rest) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return None
        self.received = b""
        return int(head[9:12])


def signed(key: str, body: bytes, secret: bytes) -> str:
    """The headers of a post that is signed as Standard Webhooks says."""
    stated = str(int(time.time()))
    mark = base64.b64encode(hmac.digest(secret, f"{key}.{stated}.".encode() + body, "sha256")).decode()
    return f"webhook-id: {key}\r\nwebhook-timestamp: {stated}\r\nwebhook-signature: v1,{mark}\r\n"


def evenly(told: dict[str, Any]) -> list[Caller]:
    """Open the connections so that every worker (told["workers"], process ids) accepts as many of them.

    Who accepts a connection is chance, and four threads behind one interpreter lock would be measured instead of eight.
    """
    room = {worker: len(told["connections"]) // len(told["workers"]) for worker in told["workers"]}
    kept: list[Caller] = []
    others: list[Caller] = []
    for _ in range(400):
        one = told["connections"][len(kept)]
        secret = base64.b64decode(told["secret"].removeprefix("whsec_"))
        caller = Caller(told["port"], one["head"], one["body"], len(kept), secret)
        worker = _accepted_by(caller.socket, told["workers"])
        if worker is not None and room[worker] == 0:
            others.append(caller)  # kept open until the end, so that the other worker has reason to accept
            continue
        if worker is not None:
            room[worker] -= 1
        kept.append(caller)
        if len(kept) == len(told["connections"]):
            break
    for caller in others:
        caller.socket.close()
    if len(kept) < len(told["connections"]):
        raise RuntimeError("After 400 connections the workers still do not share them evenly.")
    return kept


def _accepted_by(sock: socket.socket, workers: list[int]) -> int | None:
    """The worker whose socket is the other end; None where the system does not tell (/proc)."""
    ours, theirs = (f"{port:04X}" for port in (sock.getsockname()[1], sock.getpeername()[1]))
    for _ in range(200):
        inodes = []
        with contextlib.suppress(OSError), open("/proc/net/tcp") as table:
            for line in table:
                parts = line.split()
                if parts[1].endswith(f":{theirs}") and parts[2].endswith(f":{ours}"):
                    inodes.append(f"socket:[{parts[9]}]")
        for worker in workers:
            with contextlib.suppress(OSError):
                for name in os.listdir(f"/proc/{worker}/fd"):
                    with contextlib.suppress(OSError):
                        if os.readlink(f"/proc/{worker}/fd/{name}") in inodes:
                            return worker
        time.sleep(0.005)
    return None


def run(told: dict[str, Any]) -> dict[str, Any]:
    """Keep all connections busy for told["seconds"]; count answers, errors and waiting times (ms)."""
    waiting: list[float] = []
    errors = 0
    chosen = selectors.DefaultSelector()
    callers = evenly(told)
    for caller in callers:
        chosen.register(caller.socket, selectors.EVENT_READ, caller)
    started, cpu = time.perf_counter(), time.process_time()
    ends = started + told["seconds"]
    for caller in callers:
        caller.ask(told["run"])
    busy = len(callers)
    while busy:
        for key, _events in chosen.select():
            caller = key.data
            status = caller.hear()
            if status is None:
                continue
            now = time.perf_counter()
            waiting.append((now - caller.since) * 1000)
            errors += status != told["status"]
            if now < ends and status:
                caller.ask(told["run"])
            else:
                chosen.unregister(caller.socket)
                busy -= 1
    wall = time.perf_counter() - started
    waiting.sort()
    return {
        "answers": len(waiting) - errors,
        "errors": errors,
        "seconds": wall,
        "client_cpu_seconds": time.process_time() - cpu,
        "p50_ms": waiting[len(waiting) // 2],
        "p99_ms": waiting[int(len(waiting) * 0.99)],
    }


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
