"""What the processor can do, as the kernel reports it."""

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # the last is Arm's


def has_bf16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether bf16 arithmetic is native here; emulated bf16 is slower than fp32 and does not count.

    Only Linux says; elsewhere the answer is no.
    """
    if platform.system() != "Linux" or not cpuinfo.is_file():
        return False
    for line in cpuinfo.read_text().splitlines():
        key, _, flags = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            return bool(BF16_FLAGS & set(flags.split()))
    return False


def model_name(cpuinfo: Path = CPUINFO) -> str:
    """What the processor calls itself, as far as the kernel or Python says."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            key, _, name = line.partition(":")
            if key.strip() == "model name":
                return name.strip()
    return platform.processor() or platform.machine()
