#!/usr/bin/env python3
"""Prints the ids of everything that eBPF holds in this kernel: programs, maps and links, one a line."""

import ctypes
import platform

SYSCALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
NEXT = {"program": 11, "map": 12, "link": 31}  # BPF_PROG_, BPF_MAP_ and BPF_LINK_GET_NEXT_ID


class Attributes(ctypes.Structure):
    _fields_ = [("start_id", ctypes.c_uint32), ("next_id", ctypes.c_uint32), ("flags", ctypes.c_uint32)]


libc = ctypes.CDLL(None, use_errno=True)
for kind, command in NEXT.items():
    attributes = Attributes()
    while libc.syscall(SYSCALL, command, ctypes.byref(attributes), ctypes.sizeof(attributes)) == 0:
        print(kind, attributes.next_id)
        attributes.start_id = attributes.next_id
