"""A real IMAP server for tests: dovecot in a folder of its own, on loopback, with a certificate of its own authority.

`running(folder)` starts and stops it; `skip_reason()` says why it cannot be had here. Mails are put into maildirs as a mail server
would, so that no test depends on the code it tests. `Cutter` is a line to it that breaks.
"""

from __future__ import annotations

import contextlib
import functools
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROGRAM = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
HOST = "localhost"
PASSWORD = "correct-horse"

CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.key
ssl_min_protocol = TLSv1.2
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:{folder}/mail/%n
mail_max_userip_connections = 50
first_valid_uid = 1
default_internal_user = {inner}
default_internal_group = {inner_group}
default_login_user = {login}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={mail} gid={mail_group} home={folder}/home/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {starttls_port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
{more}
"""


@functools.cache
def skip_reason() -> str:
    """Why no dovecot can be started here; "" when it can."""
    if PROGRAM is None:
        return "dovecot is not installed (Debian: dovecot-imapd)"
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False).stdout
    if not version.startswith("2.3."):
        return f"the configuration is written for dovecot 2.3, here is {version.strip() or 'another'}"
    return ""


@dataclass
class Server:
    """A running server. ca_file: the authority that vouches for it."""

    folder: Path
    tls_port: int
    starttls_port: int
    ca_file: str
    process: subprocess.Popen[bytes]
    owner: tuple[int, int]

    def inbox(self, user: str, folder: str = "INBOX") -> Path:
        """The maildir of a folder, made when it is not there."""
        home = self.folder / "mail" / user
        place = home if folder == "INBOX" else home / f".{folder}"
        for each in ("cur", "new", "tmp"):
            (place / each).mkdir(parents=True, exist_ok=True)
        self._give(home)
        return place

    def deliver(self, user: str, *mails: bytes, folder: str = "INBOX", at: datetime | None = None) -> None:
        """Put mails into a folder, in this order. at: when they came (INTERNALDATE)."""
        place = self.inbox(user, folder)
        for content in mails:
            name = f"{time.time_ns()}.{len(content)}.here"
            file = place / "tmp" / name
            file.write_bytes(content)
            if at is not None:
                os.utime(file, (at.timestamp(), at.timestamp()))
            os.chown(file, *self.owner) if os.getuid() == 0 else None
            file.rename(place / "new" / name)

    def there(self, user: str, folder: str = "INBOX") -> list[bytes]:
        """The mails that lie in a folder, by file name."""
        place = self.inbox(user, folder)
        files = [file for each in ("new", "cur") for file in (place / each).iterdir()]
        return [file.read_bytes() for file in sorted(files, key=lambda file: file.name)]

    def recreate(self, user: str) -> None:
        """Make the folder anew with the same mails, as a restored backup: its numbers begin again (UIDVALIDITY)."""
        place = self.inbox(user)
        for file in place.iterdir():
            if file.is_file():
                file.unlink()
        for file in (place / "cur").iterdir():
            file.rename(place / "new" / file.name.partition(":")[0])
        time.sleep(1.1)  # UIDVALIDITY is a time in seconds

    def _give(self, home: Path) -> None:
        if os.getuid() == 0:
            for each in (home, *home.rglob("*")):
                os.chown(each, *self.owner)


@contextlib.contextmanager
def running(folder: Path, *, more: str = "") -> Iterator[Server]:
    """Start dovecot in an empty folder (short name, since it holds sockets) and stop it again. more: further configuration."""
    assert PROGRAM is not None
    folder.chmod(0o755)
    for each in ("run", "mail", "home"):
        (folder / each).mkdir()
    _certificates(folder)
    (tls_port, starttls_port) = _free_ports(2)
    me = pwd.getpwuid(os.getuid())
    if me.pw_uid == 0:
        inner, login, mail = pwd.getpwnam("dovecot"), pwd.getpwnam("dovenull"), pwd.getpwnam("nobody")
        for each in ("mail", "home"):
            os.chown(folder / each, mail.pw_uid, mail.pw_gid)
    else:
        inner = login = mail = me
    (folder / "dovecot.conf").write_text(
        CONFIG.format(
            folder=folder,
            tls_port=tls_port,
            starttls_port=starttls_port,
            password=PASSWORD,
            inner=inner.pw_name,
            inner_group=inner.pw_gid if me.pw_uid else _group(inner.pw_gid),
            login=login.pw_name,
            mail=mail.pw_uid,
            mail_group=mail.pw_gid,
            more=more,
        )
    )
    process = subprocess.Popen(
        [PROGRAM, "-F", "-c", str(folder / "dovecot.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    server = Server(folder, tls_port, starttls_port, str(folder / "ca.pem"), process, (mail.pw_uid, mail.pw_gid))
    try:
        _wait_for(server)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _group(number: int) -> str:
    return grp.getgrgid(number).gr_name


def _wait_for(server: Server) -> None:
    for _try in range(200):
        if server.process.poll() is not None:
            said = server.process.stderr.read().decode() if server.process.stderr else ""
            log = server.folder / "log"
            raise RuntimeError(f"dovecot ended: {said}{log.read_text() if log.exists() else ''}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.tls_port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("dovecot does not answer")


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _number in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def _certificates(folder: Path) -> None:
    """An authority and a certificate for localhost, valid for a day."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of the tests")])
    now = datetime.now(UTC)

    def certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            names = [x509.DNSName(HOST), x509.DNSName("mail.test")]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(authority_key, hashes.SHA256())

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(certificate(authority, authority_key, is_authority=True).public_bytes(pem))
    (folder / "server.pem").write_bytes(certificate(subject, server_key, is_authority=False).public_bytes(pem))
    (folder / "server.key").write_bytes(
        server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "server.key").chmod(0o600)


class Cutter:
    """A line to a server that can break: after some bytes from the server, each time or the first `times`.

    after: bytes of the server's that get through before it breaks; None: it never breaks. falls_silent: instead of breaking,
    nothing more comes. drips: seconds between two bytes.
    """

    def __init__(
        self, port: int, *, after: int | None = None, times: int = 1_000, falls_silent: bool = False, drips: float = 0
    ) -> None:
        self.target, self.after, self.times, self.falls_silent, self.drips = port, after, times, falls_silent, drips
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_why: object) -> None:
        for each in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            breaks = self.after if self.connections <= self.times else None
            server = socket.create_connection(("127.0.0.1", self.target))
            self._open += [client, server]
            threading.Thread(target=self._pass_on, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, breaks), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536 if not self.drips else 1):
                if left is not None:
                    piece = piece[:left]
                    left -= len(piece)
                sink.sendall(piece)
                if self.drips and source.getpeername()[1] == self.target:
                    time.sleep(self.drips)
                if left == 0:
                    if self.falls_silent:
                        return
                    break
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


__all__ = ["HOST", "PASSWORD", "Cutter", "Server", "running", "skip_reason"]
