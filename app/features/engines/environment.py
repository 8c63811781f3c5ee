"""What an engine's library takes from the process's environment, and what the machine shows of a GPU."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

from app.errors import ConfigurationError

# Keras takes its backend, and TensorFlow its noise and its devices, from the environment only.
CONVERSION = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

NVIDIA_GPUS = (Path("/proc/driver/nvidia/gpus"), Path("/dev/nvidia0"), Path("/dev/dxg"))
JAX_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


def for_conversion() -> dict[str, str]:
    """The environment of a process that converts: this one's, Keras on TensorFlow on the CPU."""
    return os.environ | CONVERSION


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
