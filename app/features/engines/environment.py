"""What an engine's library takes from the process's environment, and what the machine shows of a GPU."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

from app.errors import ConfigurationError

# Keras takes its backend, and TensorFlow its noise and its devices, from the environment only.
CONVERSION = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

ALLOCATOR = ":".join(
    f"glibc.malloc.{one}" for one in ("hugetlb=1", "mmap_max=0", "trim_threshold=17179869184", "top_pad=268435456")
)
"""Memory is kept between steps, in large pages, where the C library is glibc. A step takes and frees gigabytes: without
this, two thirds of the processors' time at 224 pixels were seen to go into page faults, with it 3 % (2026-11-30)."""

NVIDIA_GPUS = (Path("/proc/driver/nvidia/gpus"), Path("/dev/nvidia0"), Path("/dev/dxg"))
JAX_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


def for_conversion() -> dict[str, str]:
    """The environment of a process that converts: this one's, Keras on TensorFlow on the CPU."""
    return os.environ | CONVERSION


def for_pretraining() -> dict[str, str]:
    """The environment of a process that pretrains: this one's, whose own choice of an allocator stays."""
    return {"GLIBC_TUNABLES": ALLOCATOR} | os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}


def require_backend(backend: str) -> None:
    """Let Keras run on `backend` in this process, for good. Raises ConfigurationError where it runs on another."""
    if "keras" in sys.modules:
        running = importlib.import_module("keras").config.backend()
        if running != backend:
            raise ConfigurationError(
                f"Keras runs on {running} in this process already, and on one backend only: start another process "
                f"for the engine that needs {backend}."
            )
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def gpu_is_visible() -> bool:
    """Whether the kernel shows an NVIDIA GPU, and CUDA_VISIBLE_DEVICES does not hide all."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return any(path.exists() for path in NVIDIA_GPUS)


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def gpu_libraries(package: str) -> bool:
    """Whether `package` (jax or tensorflow) came with what it needs to use an NVIDIA GPU."""
    if package == "jax":
        return any(installed(plugin) for plugin in JAX_PLUGINS)
    return installed("nvidia") and installed("nvidia.cudnn")
