"""Reading mail in a child process, so that a mail that costs too much costs nobody else anything (M15, M16).

`read` answers as `crm.channels.email.read` does, and always: a mail that takes too long, too much memory, or the process
with it, is a mail of the kind "unparsable" with the reason why, and the next one is read by a fresh process. What a
reader may do is said in child.py. What comes back is data: of all classes, only those a Mail is made of are built from it.
"""

from __future__ import annotations

import atexit
import io
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from crm.channels import email
from crm.channels.email import parts
from crm.channels.email.child import ANSWER, ASK, CPU_SECONDS, NEXT, RAISED, READ, TOO_MUCH_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crm.channels.email import kinds

MAILS_PER_READER: Final = 100
WALL_SECONDS: Final = 30.0  # for one mail on a busy machine; the limit on computing ends it long before on a quiet one
START_SECONDS: Final = 30.0  # for a new interpreter; it takes 0.4 s on a quiet machine
_IN_ONE_PIECE: Final = 256 * 1024  # bytes of a mail
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024

_KEPT: Final = "the mail is kept as it came."
TOO_COSTLY: Final = f"too_costly: Reading it was stopped after {CPU_SECONDS} s of computing; {_KEPT}"
TOO_SLOW: Final = f"too_costly: Reading it was stopped because it took too long; {_KEPT}"
TOO_LARGE_TO_READ: Final = f"too_much_memory: Reading it was stopped because it took too much memory; {_KEPT}"
READER_FAILED: Final = f"reader_failed: Reading it failed ({{}}); {_KEPT}"
READER_LOST: Final = f"reader_lost: Reading it ended the process that reads, twice; {_KEPT}"


class NoReader(OSError):
    """No reading process can be started or is free. No fault of the mail's: it can be read later."""

    code = "no_reader"


class ReaderLost(Exception):
    """The process ended, and not by its limits: somebody else may have ended it."""


def read(
    raw: bytes,
    *,
    own_addresses: frozenset[str] = frozenset(),
    border_hosts: frozenset[str] = frozenset(),
    received_at: datetime | None = None,
    told: frozenset[kinds.Told] = frozenset(),
    readers: int = 1,
) -> email.Mail:
    """Read a raw mail as `crm.channels.email.read` does, in one of this process's reading processes.

    readers: how many of them there may be at once, each for one thread at a time; 0 reads in this process, without limits.
    They start when first needed and end with this process.
    Raises NoReader when the machine cannot start one; nothing else, whatever the mail is.
    """
    options = {"own_addresses": own_addresses, "border_hosts": border_hosts, "received_at": received_at, "told": told}
    if not readers:
        return email.read(raw, **options)  # type: ignore[arg-type]
    return _pool(readers).read(raw, **options)


@contextmanager
def reading(raw: bytes, *, readers: int = 1, **options: Any) -> Iterator[Callable[[], email.Mail]]:
    """Let a reading process begin with a mail while the caller does something else; what is given waits for the answer.

    Arguments as for `read`. Begins nothing, and then reads when asked, where no process is free. Never raises by itself; what is
    given raises NoReader.
    """
    if not readers:
        yield lambda: email.read(raw, **options)
        return
    with _pool(readers).reading(raw, **options) as answer:
        yield answer


class Pool:
    """Up to `size` reading processes, taken in turn by whichever threads need one.

    path_of_read: "module:function" of what they do with a mail; what it returns may hold the classes of a Mail only.
    """

    def __init__(self, size: int, *, path_of_read: str = "crm.channels.email:read", wall_seconds: float = WALL_SECONDS):
        self.wall_seconds = wall_seconds
        self.readers = [Reader(path_of_read) for _ in range(size)]
        # The last one given back is the next one taken: where one is enough, only one is ever started.
        self._free: queue.LifoQueue[Reader] = queue.LifoQueue()
        for reader in reversed(self.readers):
            self._free.put(reader)
        self._begun: dict[int, Reader] = {}  # by the thread that waits for its answer

    def read(self, raw: bytes, **options: Any) -> email.Mail:
        """One mail, read. Waits for a free reader as long as two mails may take, then raises NoReader."""
        with self._reader() as reader:
            for _ in range(2):
                # Once more, when the process was lost: the machine may have been short of memory, or an operator in a hurry.
                with suppress(ReaderLost):
                    return reader.read(raw, options, wall_seconds=self.wall_seconds)
        return unread(READER_LOST)

    @contextmanager
    def reading(self, raw: bytes, **options: Any) -> Iterator[Callable[[], email.Mail]]:
        """Let a free process begin with one mail; see the function of this name."""
        try:
            reader = self._free.get_nowait()
        except queue.Empty:
            yield lambda: self.read(raw, **options)
            return
        me = threading.get_ident()
        self._begun[me] = reader
        try:
            reader.begin(raw, options, wall_seconds=self.wall_seconds)
            yield lambda: self._ended(reader, raw, options)
        finally:
            self._begun.pop(me, None)
            self._free.put(reader)

    def _ended(self, reader: Reader, raw: bytes, options: dict[str, Any]) -> email.Mail:
        if self._begun.pop(threading.get_ident(), None) is reader:
            with suppress(ReaderLost):
                return reader.end()
        with suppress(ReaderLost):
            return reader.read(raw, options, wall_seconds=self.wall_seconds)
        return unread(READER_LOST)

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        mine = self._begun.pop(threading.get_ident(), None)
        if mine is not None:  # this thread began with a mail and now wants another: it would wait for itself
            yield mine
            return
        try:
            reader = self._free.get(timeout=2 * self.wall_seconds)
        except queue.Empty:
            raise NoReader("Every process that reads mail is busy.") from None
        try:
            yield reader
        finally:
            self._free.put(reader)

    def close(self) -> None:
        for reader in self.readers:
            reader.close()

    def forget(self) -> None:
        for reader in self.readers:
            reader.forget()


class Reader:
    """One reading process at a time, and the nursery that forks the next one. For one thread at a time."""

    def __init__(self, path_of_read: str) -> None:
        self.path_of_read = path_of_read
        self.mails = self._mails = 0  # read by the present process; the same while it has not answered
        self._trouble: OSError | None = None
        self._deadline = 0.0
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._connection: socket.socket | None = None

    def read(self, raw: bytes, options: dict[str, Any], *, wall_seconds: float) -> email.Mail:
        """Have one mail read. Raises NoReader, ReaderLost; after either the next mail gets a fresh process."""
        self.begin(raw, options, wall_seconds=wall_seconds)
        return self.end()

    def begin(self, raw: bytes, options: dict[str, Any], *, wall_seconds: float) -> None:
        """Give one mail to the process; `end` waits for what stands in it, and says what went wrong."""
        self._trouble = None
        self._deadline = time.monotonic() + wall_seconds
        try:
            if self._connection is None or self.mails >= MAILS_PER_READER:
                self._next()
            # Until it has answered it is not fit for another mail: its caller may be torn away here by a signal.
            self._mails, self.mails = self.mails + 1, MAILS_PER_READER
            self._ask(
                raw[: parts.MAX_RAW_BYTES + 1], options, self._deadline
            )  # one more byte says that it is too large
        except OSError as trouble:
            self._trouble = trouble

    def end(self) -> email.Mail:
        """What stands in the mail that was begun with. Raises NoReader, ReaderLost as `read` does."""
        try:
            if self._trouble is not None:
                raise self._trouble
            kind, answer = self._answer(self._deadline)
        except NoReader:
            raise
        except TimeoutError:
            self._next()
            return unread(TOO_SLOW)
        except OSError:
            if os.WTERMSIG(self._next()) == signal.SIGXCPU:
                return unread(TOO_COSTLY)
            raise ReaderLost from None
        if kind == READ:
            with suppress(pickle.UnpicklingError, ValueError, TypeError, AttributeError, EOFError):
                made = _Answers(io.BytesIO(answer)).load()
                if isinstance(made, email.Mail):
                    self.mails = self._mails
                    return made
        self._next()  # what made it fail may have left it out of order
        if kind == TOO_MUCH_MEMORY:
            return unread(TOO_LARGE_TO_READ)
        return unread(READER_FAILED.format(answer.decode("ascii", "replace") if kind == RAISED else "NoMail"))

    def _ask(self, raw: bytes, options: dict[str, Any], deadline: float) -> None:
        assert self._connection is not None  # noqa: S101
        given = pickle.dumps(options, 5)
        first = ASK.pack(len(given), len(raw)) + given
        # In one piece, or the reader is woken for the beginning and waits again; a large mail is not copied for that.
        for piece in (first + raw,) if len(raw) < _IN_ONE_PIECE else (first, raw):
            self._connection.settimeout(_left(deadline))
            self._connection.sendall(piece)

    def _answer(self, deadline: float) -> tuple[bytes, bytearray]:
        kind, size = ANSWER.unpack(self._received(ANSWER.size, deadline))
        if size > MAX_ANSWER_BYTES:
            raise ConnectionError("The answer is larger than any mail.")
        return kind, self._received(size, deadline)

    def _received(self, size: int, deadline: float) -> bytearray:
        assert self._connection is not None  # noqa: S101
        received = bytearray(size)
        rest = memoryview(received)
        while rest:
            self._connection.settimeout(_left(deadline))
            count = self._connection.recv_into(rest)
            if not count:
                raise ConnectionError("The process that reads has ended.")
            rest = rest[count:]
        return received

    def _next(self) -> int:
        """End the present process and begin the next one; how the present one ended, as os.waitpid says it, 0 when unknown.

        Raises NoReader.
        """
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.mails = 0
        for _ in range(2):  # the nursery itself may have been lost
            if self._control is None:
                self._start()
            assert self._control is not None  # noqa: S101
            with suppress(OSError):
                self._control.settimeout(START_SECONDS)
                self._control.sendall(b"n")
                said, descriptors, _flags, _address = socket.recv_fds(self._control, NEXT.size, 1)
                if descriptors:
                    self._connection = socket.socket(fileno=descriptors[0])
                    return max(0, int(NEXT.unpack(said)[0]))
            self.close()
        raise NoReader("A process that reads mail cannot be started.")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        path = [entry or os.getcwd() for entry in sys.path]
        program = (
            "import sys; sys.path[:] = sys.argv[3:]; from crm.channels.email import child; "
            "child.nurse(int(sys.argv[1]), sys.argv[2])"
        )
        try:
            # Without PR_SET_PDEATHSIG: it would end with the thread that started it. It ends when our socket does.
            self._nursery = subprocess.Popen(  # noqa: S603  our own interpreter
                [sys.executable, "-I", "-X", "utf8", "-c", program, str(theirs.fileno()), self.path_of_read, *path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env={},  # no password and no key of ours
                start_new_session=True,
            )
            theirs.close()
            ours.settimeout(START_SECONDS)
            if len(ours.recv(NEXT.size)) != NEXT.size:
                raise ConnectionError("It ended while it started.")
        except OSError as trouble:
            ours.close()
            theirs.close()
            self.close()
            raise NoReader("A process that reads mail cannot be started.") from trouble
        self._control = ours

    def close(self) -> None:
        """End the processes. The next mail starts new ones."""
        for end in (self._connection, self._control):
            if end is not None:
                end.close()
        self._connection = self._control = None
        if self._nursery is not None:
            self._nursery.kill()  # its reader is killed with it, or ends when its socket does
            self._nursery.wait()
            self._nursery = None

    def forget(self) -> None:
        """After a fork: the processes are the parent's; only our copies of the sockets are closed."""
        for end in (self._connection, self._control):
            if end is not None:
                end.close()
        self._connection = self._control = None
        if self._nursery is not None:
            self._nursery.returncode = 0  # it is not ours to wait for
            self._nursery = None


def unread(reason: str) -> email.Mail:
    """What is said of a mail that could not be read: nothing but why. reason: "code: Sentence."."""
    return email.Mail(
        kind="unparsable",
        reason=reason,
        opens_or_joins_conversation=False,
        customer=None,
        customer_name="",
        is_authenticated=False,
        subject="",
        text="",
        quoted="",
        full_text="",
        html="",
        attachments=(),
        bounced=(),
        message_id="",
        in_reply_to=(),
        recipients=(),
        delivered_to=(),
        spoke_at=None,
        claimed_at=None,
        language="",
        automatic=(),
        faults=(reason.partition(":")[0],),
    )


class _Answers(pickle.Unpickler):
    """Builds what a Mail is made of and no other class, whatever a reader sends."""

    _MADE_OF: Final = {
        ("crm.channels.email", "Mail"),
        ("crm.channels", "Part"),
        ("crm.channels.email.bounces", "Bounced"),
        ("datetime", "datetime"),
        ("datetime", "timezone"),
        ("datetime", "timedelta"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._MADE_OF:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a mail.")
        return super().find_class(module, name)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("The mail took too long.")
    return left


_pools: dict[int, Pool] = {}
_pools_lock = threading.Lock()


def _pool(size: int) -> Pool:
    with _pools_lock:
        if size not in _pools:
            _pools[size] = Pool(size)
        return _pools[size]


def _begin_anew_after_a_fork() -> None:
    global _pools_lock
    _pools_lock = threading.Lock()  # another thread of the parent may have held it
    for pool in _pools.values():
        pool.forget()
    _pools.clear()


def close() -> None:
    """End every reading process of this process; the next mail starts new ones."""
    with _pools_lock:
        for pool in _pools.values():
            pool.close()
        _pools.clear()


os.register_at_fork(after_in_child=_begin_anew_after_a_fork)
atexit.register(close)
