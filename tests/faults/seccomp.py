"""Makes a system call fail for one thread and whatever it starts: seccomp(2), without root and without a compiler.

There is no way back: run it in a thread of its own.
"""

import ctypes
import errno
import os
import platform
import struct

# linux/prctl.h, linux/seccomp.h, linux/bpf_common.h
_NO_NEW_PRIVS, _SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
# asm/unistd.h: the number of fdatasync, by machine.
FDATASYNC = {"x86_64": 75, "aarch64": 83}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def supported() -> bool:
    """Return whether this machine's number of the call is known here."""
    return platform.machine() in FDATASYNC


def fail_fdatasync(error: int = errno.EIO) -> None:
    """Have every fdatasync of this thread and its children fail with this error, from now on."""
    number = FDATASYNC[platform.machine()]
    steps = [
        (_LOAD_WORD, 0, 0, 0),  # the call's number
        (_JUMP_EQUAL, 0, 1, number),
        (_RETURN, 0, 0, _ERRNO | error),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    done = done or libc.prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)
    if done:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
