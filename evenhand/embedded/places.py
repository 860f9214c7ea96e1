"""Where the embedded servers keep things, computed from the project folder and the environment; nothing is started."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

# A socket's path holds 107 characters on Linux and 103 on macOS.
LONGEST_SOCKET_PATH = 100

# Characters that mean the same in a URL, a PostgreSQL setting (commas split) and a connection string.
PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+@-]+")

# Shared and foreign filesystems: without owners, modes or sockets, and PostgreSQL refuses a data folder there.
FOREIGN_FILESYSTEMS = frozenset(
    {
        *("9p", "cifs", "drvfs", "exfat", "fakeowner", "fuse.sshfs", "fuse.vmhgfs-fuse", "fuseblk", "msdos", "ntfs"),
        *("ntfs3", "prl_fs", "smb3", "smbfs", "vboxsf", "vfat", "virtiofs", "vmhgfs"),
    }
)

SUBSTITUTES = "substitutes.json"


class Unusable(Exception):
    """A folder cannot be used as it is; the text is one sentence that says which and what to do."""

    code = "place_unusable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The system account a server runs under when we are root, because PostgreSQL refuses to run as root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Every path of the embedded servers. Making one reads the file system and changes nothing."""

    mark: str  # twelve hexadecimal digits that tell this data folder from every other on the machine
    data: Path
    run: Path
    postgres_data: Path
    postgres_socket_dir: Path
    postgres_port: int
    postgres_programs: Path  # for a copy, needed when the server's account cannot reach the installed ones
    valkey_dir: Path
    valkey_socket: Path
    logs: Path
    mail: Path
    static: Path
    media: Path

    @classmethod
    def from_environment(cls, base_dir: Path, environment: Mapping[str, str] | None = None) -> Places:
        """Work out the places of the project in `base_dir`.

        environment: defaults to the process's own; `EVENHAND_DATA` names another data folder than `base_dir/.data`.
        """
        environment = os.environ if environment is None else environment
        data = Path(os.path.abspath(base_dir / (environment.get("EVENHAND_DATA", "").strip() or ".data")))
        mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
        postgres_data = _postgres_data(data, mark)
        run = data / "run"
        if _needs_short_run(run, account=account_for(postgres_data)):
            run = Path(f"/tmp/evenhand-{os.geteuid()}-{mark}")  # noqa: S108  owner and mode are checked by `prepare`
        return cls(
            mark=mark,
            data=data,
            run=run,
            postgres_data=postgres_data,
            postgres_socket_dir=run / "pg",
            postgres_port=5432,
            postgres_programs=Path(f"/var/tmp/evenhand-{os.geteuid()}-{mark}-pg"),  # noqa: S108  checked before use
            valkey_dir=data / "valkey",
            valkey_socket=run / "valkey.sock",
            logs=data / "logs",
            mail=data / "mail",
            static=data / "static",
            media=data / "media",
        )

    @property
    def database(self) -> dict[str, object]:
        """The entry for Django's DATABASES["default"]."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "evenhand",
            "USER": "evenhand",
            "HOST": str(self.postgres_socket_dir),
            "PORT": str(self.postgres_port),
        }

    @property
    def database_url(self) -> str:
        """The same database as a URL, for programs that take one."""
        return f"postgres://evenhand@/evenhand?host={self.postgres_socket_dir}&port={self.postgres_port}"

    @property
    def broker_url(self) -> str:
        """The broker's URL in Celery's words."""
        return f"redis+socket://{self.valkey_socket}?virtual_host=0"

    @property
    def cache_url(self) -> str:
        """The same server's second keyspace as a redis-py URL, for the cache and rate limits."""
        return f"unix://{self.valkey_socket}?db=1"

    @property
    def substitutes(self) -> dict[str, Path]:
        """The places that had to leave the data folder, by name."""
        named = {"run": self.run, "postgres_data": self.postgres_data.parent}
        return {name: path for name, path in named.items() if self.data not in (path, *path.parents)}


def account_for(postgres_data: Path) -> Account | None:
    """Say which account PostgreSQL must run under; None when we are not root and it simply runs as us.

    An existing cluster keeps its owner, so that a project started once with sudo stays usable without it.
    Raises Unusable when this system has neither a `postgres` nor a `nobody` account.
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError, KeyError):
        owner = (postgres_data / "PG_VERSION").stat().st_uid
        if owner != 0:
            found = pwd.getpwuid(owner)
            return Account(name=found.pw_name, uid=owner, gid=found.pw_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return Account(name=name, uid=found.pw_uid, gid=found.pw_gid)
    raise Unusable(
        "PostgreSQL refuses to run as root and there is no account postgres or nobody; start as another user."
    )


def prepare(places: Places) -> None:
    """Make the folders that are missing, private to their owner, and record those that had to leave the data folder.

    Raises Unusable when a folder cannot be made or belongs to somebody else.
    """
    account = account_for(places.postgres_data)
    # The demoted server has to pass through, and nobody but root may list; every file below guards itself.
    passable = 0o711 if account else 0o700
    _own_folder(places.data, passable)
    if places.substitutes:
        _record_substitutes(places, places.substitutes)
    _own_folder(places.run, passable)
    for folder in (places.valkey_dir, places.logs, places.mail, places.static, places.media):
        _own_folder(folder, 0o700)
    if places.data not in places.postgres_data.parents:
        _own_folder(places.postgres_data.parent.parent, 0o711 if account else 0o700)
        _own_folder(places.postgres_data.parent, passable)
    for folder in (places.postgres_data, places.postgres_socket_dir):
        _own_folder(folder, 0o700, account=account)


def record_substitute(places: Places, *, name: str, path: Path) -> None:
    """Remember a folder outside the data folder, so that `clean` removes both together."""
    _record_substitutes(places, {name: path})


def recorded_substitutes(data: Path) -> dict[str, Path]:
    """Read the folders recorded outside `data`, by name; none when the record is a copy from another folder."""
    try:
        record = json.loads((data / SUBSTITUTES).read_text())
        recorded_for = Path(record["data"])
        named = {str(name): Path(path) for name, path in record["places"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    # A moved project keeps its data; a copied one must not share a cluster with the original.
    if recorded_for != data and (recorded_for / SUBSTITUTES).exists():
        return {}
    return named


def secret_key(places: Places) -> str:
    """Return Django's secret key for this data folder, made (mode 0600) on first need."""
    return _kept(places.data / "secret_key", lambda: secrets.token_urlsafe(64))


def jwt_private_key(places: Places) -> str:
    """Return the RSA key (PEM, PKCS#8) that signs the API's tokens, made (mode 0600) on first need."""

    def fresh() -> str:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    return _kept(places.data / "jwt.pem", fresh)


def _postgres_data(data: Path, mark: str) -> Path:
    inside = data / "pg"
    recorded = recorded_substitutes(data).get("postgres_data")
    if recorded:
        return recorded / "pg"
    if (inside / "PG_VERSION").exists():
        return inside  # wherever a cluster is, it stays: a second, empty one would look like lost data
    account = account_for(inside)
    if account:
        outside = Path("/var/lib/evenhand")
        must_leave = not _can_enter(account, data.parent)
    else:
        outside = Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".local/share/evenhand" if _is_known_user() else data
        must_leave = False
    if must_leave or (_filesystem(data) in FOREIGN_FILESYSTEMS and _filesystem(outside) not in FOREIGN_FILESYSTEMS):
        return outside / mark / "pg"
    return inside


def _needs_short_run(run: Path, *, account: Account | None) -> bool:
    longest = run / "pg" / ".s.PGSQL.5432"
    return (
        len(os.fsencode(longest)) > LONGEST_SOCKET_PATH
        or PLAIN_PATH.fullmatch(str(longest)) is None
        or (account is not None and not _can_enter(account, run.parent.parent))
        or _filesystem(run) in FOREIGN_FILESYSTEMS
    )


def _can_enter(account: Account, folder: Path) -> bool:
    """Whether the account may pass through every existing folder down to this one, by mode bits."""
    for path in (*reversed(folder.resolve().parents), folder.resolve()):
        try:
            found = path.stat()
        except OSError:
            return True  # the rest does not exist yet; we make it passable
        if found.st_uid == account.uid:
            allowed = found.st_mode & stat.S_IXUSR
        elif found.st_gid == account.gid:
            allowed = found.st_mode & stat.S_IXGRP
        else:
            allowed = found.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def _filesystem(path: Path) -> str:
    """The type of the filesystem a path is or would be on; empty where the system does not tell (macOS)."""
    try:
        lines = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    target = path.resolve()
    best, kind = -1, ""
    for line in lines:
        _, mounted_at, filesystem, *_ = line.split(" ")
        mount = Path(mounted_at.replace("\\040", " "))
        if mount in (target, *target.parents) and len(mount.parts) >= best:
            best, kind = len(mount.parts), filesystem
    return kind


def _is_known_user() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _own_folder(folder: Path, mode: int, *, account: Account | None = None) -> None:
    wanted = account.uid if account else os.geteuid()
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        found = folder.lstat()
        if account and found.st_uid == 0 and not stat.S_ISLNK(found.st_mode):
            os.chown(folder, account.uid, account.gid)
            found = folder.lstat()
        # In /tmp anybody may have made this name first: a link or a stranger's folder would hand him our sockets.
        is_link = stat.S_ISLNK(found.st_mode)
        is_foreign = found.st_uid != wanted
        if (is_foreign and os.geteuid() != 0) or ((is_foreign or is_link) and _is_shared(folder.parent)):
            raise Unusable(f"{folder} belongs to another user; remove it, or name another folder in EVENHAND_DATA.")
        if not is_link and stat.S_IMODE(found.st_mode) != mode:
            folder.chmod(mode)
    except OSError as problem:
        raise _unusable(folder, problem) from problem


def _unusable(path: Path, problem: OSError) -> Unusable:
    return Unusable(f"{path} cannot be used ({problem.strerror}); name a folder of your own in EVENHAND_DATA.")


def _is_shared(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IWOTH)


def _record_substitutes(places: Places, named: Mapping[str, Path]) -> None:
    known = recorded_substitutes(places.data) | dict(named)
    record = {"data": str(places.data), "places": {name: str(path) for name, path in sorted(known.items())}}
    _write_whole(places.data / SUBSTITUTES, json.dumps(record, indent=2) + "\n", replace=True)


def _kept(path: Path, fresh: Callable[[], str]) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        try:
            path.parent.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            _write_whole(path, fresh(), replace=False)
            return path.read_text()  # two processes may have raced; both must use the one that was kept
        except OSError as problem:
            raise _unusable(path.parent, problem) from problem
    except OSError as problem:
        raise _unusable(path, problem) from problem


def _write_whole(path: Path, text: str, *, replace: bool) -> None:
    """Write a private file so that no reader ever sees half of it; without `replace` an existing one wins."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            if os.geteuid() == 0:  # a start with sudo must not lock the folder's owner out
                owner = path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass
            except OSError:  # a filesystem without hard links
                draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
