"""The account and rights that PostgreSQL's programs run with.

PostgreSQL refuses to run as root. For root this file is therefore also a small program, `_main`, between us
and PostgreSQL: it becomes somebody else, gives up every capability, then turns into the program asked for.
Only where that user cannot pass the directories above the binaries or the cluster (a checkout below /root) it
keeps the one capability that lets it; no permission outside the cluster's own directory is ever changed.

Run as a program it has no site-packages: standard library only.
"""

import ctypes
import os
import pwd
import sys
from pathlib import Path
from typing import NamedTuple

# Above the users that systems hand out (up to 60000), below systemd's dynamic ones (from 61184), and within
# the 65536 that a container usually maps: https://systemd.io/UIDS-GIDS/. Not `nobody`, whom others run as.
PRIVATE_UIDS = range(61000, 61184)

# linux/capability.h, linux/prctl.h and linux/securebits.h
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 28, 38, 47, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2


class Account(NamedTuple):
    """A user and group, by number: there need not be a name for it."""

    uid: int
    gid: int


def is_root() -> bool:
    """True if PostgreSQL would refuse to run as the current user."""
    return os.geteuid() == 0


def owner_of(path: Path) -> Account:
    """The owner of a file."""
    status = path.stat()
    return Account(status.st_uid, status.st_gid)


def server_account(data: Path) -> Account:
    """The account that a cluster's server runs as.

    The current user; for root, the owner of the cluster or its directory; if that is root too, an unused id.
    """
    if not is_root():
        return Account(os.geteuid(), os.getegid())
    for path in (data, data.parent):
        if path.exists() and (owner := owner_of(path)).uid != 0:
            return owner
    free = next(uid for uid in PRIVATE_UIDS if not _has_name(uid))
    return Account(free, free)


def initdb_account(account: Account) -> Account:
    """The account that initdb runs as. It refuses a user without a name, so root uses `nobody`."""
    if not is_root() or _has_name(account.uid):
        return account
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def hand_over(tree: Path, account: Account) -> None:
    """Change the owner of a directory and its contents, the directory last. Does nothing unless root."""
    if not is_root():
        return
    for _, directories, files, fd in os.fwalk(tree, topdown=False):
        for name in directories + files:
            os.chown(name, *account, dir_fd=fd, follow_symlinks=False)
    os.chown(tree, *account, follow_symlinks=False)


def command_as(account: Account, directory: Path, command: list[str]) -> list[str]:
    """Return the command line that runs `command` as `account`, which must get into `directory`."""
    if not is_root():
        return command
    # Neither the environment nor site-packages can influence what runs as root, and it starts in 15 ms.
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).absolute())]
    return [*launcher, str(account.uid), str(account.gid), str(directory), *command]


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _reaches(account: Account, paths: list[str]) -> bool:
    """Try it as the account: the kernel drops root's capabilities with the effective user, and restores them."""
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        return all(_opens(path) for path in paths)
    finally:
        os.seteuid(0)
        os.setegid(0)


def _opens(path: str) -> bool:
    # Not os.access: that leaves capabilities out of account.
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _become(account: Account, capabilities: tuple[int, ...]) -> None:
    """Become the account permanently, keeping only the first of these capabilities that we have."""
    os.setgid(account.gid)
    if sys.platform != "linux":
        os.setuid(account.uid)
        return
    libc = ctypes.CDLL(None)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if capabilities:
        # So setuid leaves them to us, and they count in access(2), by which PostgreSQL finds its binaries.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setuid(account.uid)
    kept = next((one for one in capabilities if _limit_to(libc, 1 << one)), None)
    if kept is None:
        _limit_to(libc, 0)
    else:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _limit_to(libc: ctypes.CDLL, mask: int) -> bool:
    """Set our effective, permitted and inheritable capabilities. False if we lack them."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    return bool(libc.capset(header, data) == 0)


def _main(uid: str, gid: str, directory: str, *command: str) -> None:
    account = Account(int(uid), int(gid))
    paths = [directory, command[0]]
    os.setgroups([])
    os.chdir("/")
    _become(account, () if _reaches(account, paths) else (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE))
    for path in paths:
        if not _opens(path):
            sys.exit(f"user {uid}, whom PostgreSQL runs as because it refuses root, cannot enter {path}")
    os.execv(command[0], command)  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    _main(*sys.argv[1:])
