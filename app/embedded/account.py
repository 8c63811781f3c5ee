"""Whom the server runs as: Postgres refuses root, so root's gets an account and the way to its files."""

import logging
import os
import pwd
import stat
import struct
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from app.errors import DatabaseUnusable

logger = logging.getLogger(__name__)

NAME = "penumbra-postgres"

ACL = "system.posix_acl_access"
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NO_ID = 0xFFFFFFFF
ENTRY = struct.Struct("<HHI")
VERSION = struct.pack("<I", 2)


class RunAs(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int

    @property
    def run_as(self) -> RunAs:
        """Arguments for `subprocess`: none when we are that account already."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account_for(folder: Path) -> Account:
    """Ourselves; for root the owner of an existing database, so that a volume outlives the machine's user
    table, else the account `penumbra-postgres`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if (folder / "PG_VERSION").exists() and (found := folder.stat()).st_uid != 0:
        return Account(found.st_uid, found.st_gid)
    entry = _existing(NAME) or _created() or _existing("postgres") or _existing("nobody")
    if entry is None:
        raise DatabaseUnusable(
            f"Postgres does not run as root, and no account for it could be made; create the user {NAME}."
        )
    return Account(entry.pw_uid, entry.pw_gid)


def _existing(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _created() -> pwd.struct_passwd | None:
    command = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        NAME,
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        logger.warning("no account %s could be made (%s)", NAME, error)
    return _existing(NAME)


def give(folder: Path, account: Account) -> None:
    """Make the account the owner of a folder and all in it."""
    if os.geteuid() != 0 or folder.stat().st_uid == account.uid:
        return
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            os.chown(Path(parent) / name, account.uid, account.gid, follow_symlinks=False)
    # The folder itself last: its owner says that the work is done.
    os.chown(folder, account.uid, account.gid)


def open_way(folder: Path, account: Account) -> None:
    """Let the account pass through (not list) those parents of a folder that shut it out, as /root does."""
    if os.geteuid() != 0 or account.uid == 0:
        return
    for parent in reversed(folder.resolve().parents):
        if not _passable(parent.stat(), account) and not _granted(parent, account):
            _grant(parent, account)


def open_binaries(folders: Iterable[Path], account: Account) -> None:
    """Make the wheel's own folders, which hold nothing private, readable: under umask 077 they are not."""
    if os.geteuid() != 0 or account.uid == 0:
        return
    for path in [path for folder in folders for path in (folder, *folder.rglob("*"))]:
        mode = path.stat().st_mode
        path.chmod(stat.S_IMODE(mode) | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _passable(found: os.stat_result, account: Account) -> bool:
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def _entries(folder: Path) -> dict[tuple[int, int], int]:
    """The folder's access list, (tag, id) -> permissions; the plain mode bits where it has none."""
    try:
        return {(tag, who): may for tag, may, who in ENTRY.iter_unpack(os.getxattr(folder, ACL)[len(VERSION) :])}
    except OSError:
        mode = folder.stat().st_mode
        return {(USER_OBJ, NO_ID): mode >> 6 & 7, (GROUP_OBJ, NO_ID): mode >> 3 & 7, (OTHER, NO_ID): mode & 7}


def _granted(folder: Path, account: Account) -> bool:
    entries = _entries(folder) if hasattr(os, "getxattr") else {}
    return bool(entries.get((USER, account.uid), 0) & entries.get((MASK, NO_ID), 0) & 1)


def _grant(folder: Path, account: Account) -> None:
    """Add `user:ACCOUNT:--x` to the access list, or where there are none, `o+x`."""
    try:
        entries = _entries(folder)
        entries[USER, account.uid] = entries.get((USER, account.uid), 0) | 1
        entries[MASK, NO_ID] = entries.get((MASK, NO_ID), entries[GROUP_OBJ, NO_ID]) | 1
        os.setxattr(folder, ACL, VERSION + b"".join(_packed(entries)))
        logger.warning("account %d may now pass through %s (access list)", account.uid, folder)
    except (OSError, AttributeError):
        try:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
        except OSError as error:
            raise DatabaseUnusable(
                f"The database's account cannot pass through {folder}; run chmod o+x {folder}, or set"
                " PENUMBRA_DATA_DIR to a folder outside it."
            ) from error
        logger.warning("everyone may now pass through %s (o+x; it takes no access list)", folder)


def _packed(entries: dict[tuple[int, int], int]) -> Iterator[bytes]:
    return (ENTRY.pack(tag, may, who) for (tag, who), may in sorted(entries.items()))
