"""Measure as a lesser CPU would: hide instruction sets that only the kernel can grant."""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_ARCH_PRCTL, _REQUEST_PERMISSION = 158, 0x1023
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_HIDDEN = "AUTOCOMP_BENCHMARK_WITHOUT_AMX"


def rerun_without_amx() -> None:
    """Start this program anew with AMX hidden, unless it is; ONNX Runtime asks for AMX when it is imported."""
    if os.environ.get(_HIDDEN) != "1":
        hide_amx()
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, _HIDDEN: "1"})


def hide_amx() -> None:
    """Refuse this process the permission to use AMX tiles, for which a program must ask the Linux kernel.

    ONNX Runtime then takes its AVX-512 VNNI kernels, as on a CPU without AMX. Cannot be undone, not by exec either.

    Raises:
        OSError: the kernel does not take the filter.
    """
    steps = [
        (_LOAD, 0, 0, 0),  # number of the system call
        (_JUMP_IF_EQUAL, 0, 3, _ARCH_PRCTL),
        (_LOAD, 0, 0, 16),  # its first argument
        (_JUMP_IF_EQUAL, 0, 1, _REQUEST_PERMISSION),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SECCOMP, _FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel does not take a seccomp filter")
