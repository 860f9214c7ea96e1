"""A mail server that takes everything and keeps nothing: one thread, plain sockets, so that it costs the senders little.

Run as `python -m tests.bench.sink`; prints its port, then the number of mails taken for each line on its input. Imports nothing
of the product.
"""

from __future__ import annotations

import socket
import sys
import threading

taken = 0


def serve(line: socket.socket) -> None:
    """Speak as much SMTP as a client needs who says one thing after another, or several at once (PIPELINING)."""
    global taken
    with line, line.makefile("rb") as heard:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(b"220 sink\r\n")
        for words in heard:
            verb = words[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                line.sendall(b"250-sink\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250 8BITMIME\r\n")
            elif verb == b"DATA":
                line.sendall(b"354 go on\r\n")
                for content in heard:
                    if content == b".\r\n":
                        break
                taken += 1
                line.sendall(b"250 taken\r\n")
            elif verb == b"QUIT":
                line.sendall(b"221 bye\r\n")
                return
            else:
                line.sendall(b"250 fine\r\n")


def accept(server: socket.socket) -> None:
    """Serve every connection in a thread of its own."""
    while True:
        line, _address = server.accept()
        threading.Thread(target=serve, args=(line,), daemon=True).start()


def main() -> None:
    """Listen until the input ends."""
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(server,), daemon=True).start()
    print(server.getsockname()[1], flush=True)
    for _line in sys.stdin:
        print(taken, flush=True)


if __name__ == "__main__":
    main()
