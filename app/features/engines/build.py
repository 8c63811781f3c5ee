"""Choosing an engine. What is asked for is what runs, or an error says why it cannot."""

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from app.errors import ConfigurationError
from app.features.backbones import is_int8
from app.features.engines.environment import gpu_is_visible, gpu_libraries, installed, require_backend
from app.features.spec import Extractor, FeatureSetSpec
from app.features.weights import ResolvedWeights, resolve, resolve_spec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Engine:
    """builder is `module:function`; package is what must be installed; keras is the backend it needs Keras on."""

    builder: str
    package: str
    precisions: tuple[str, ...]
    gpu: bool
    keras: str | None = None
    extra: str = "worker"


# In the order in which `auto` takes them where there is no GPU.
ENGINES: Mapping[str, Engine] = {
    "openvino": Engine("app.features.engines.openvino:build", "openvino", ("fp32", "bf16"), gpu=False),
    "tensorflow": Engine(
        "app.features.engines.tensorflow:build", "tensorflow", ("fp32", "bf16", "fp16"), gpu=True, keras="tensorflow"
    ),
    "tensorflow-xla": Engine(
        "app.features.engines.tensorflow:build_xla", "tensorflow", ("fp32", "bf16", "fp16"), gpu=True,
        keras="tensorflow",
    ),
    "jax": Engine("app.features.engines.jax:build", "jax", ("fp32", "bf16"), gpu=True, keras="jax", extra="jax"),
}  # fmt: skip
GPU_ENGINES = ("jax", "tensorflow")
PRECISIONS = ("auto", "bf16", "fp16", "fp32")
DEVICES = ("auto", "cpu", "gpu")


@dataclass(frozen=True, slots=True)
class Choice:
    """What runs where, and why; device may still be `auto` where the engine's library has the last word."""

    engine: str
    device: str
    reason: str


def build_extractor(
    feature_set: str | FeatureSetSpec,
    *,
    weights: str | None,
    engine: str,
    precision: str,
    device: str = "auto",
    cache_dir: Path,
    weights_dir: Path | None = None,
) -> Extractor:
    """The extractor of `feature_set` (the name of a known one, or a stored spec), ready to run.

    weights as `app.features.weights.resolve` takes them; a stored spec finds its own by their digest, also in
    weights_dir. engine is `auto` or one of `ENGINES`, device `auto`, `cpu` or `gpu`, precision `auto`, `fp32`, `bf16`
    or `fp16`; converted graphs are kept below cache_dir. What `auto` chose is logged, with the reason.
    The first start with given weights converts them (about 15 s), later ones take about a second.
    Raises ConfigurationError for anything asked for that this machine or installation lacks.
    """
    if isinstance(feature_set, FeatureSetSpec):
        resolved = resolve_spec(feature_set, weights, weights_dir)
    else:
        resolved = resolve(feature_set, weights)
    choice = choose(engine, device, int8=is_int8(resolved.spec.backbone))
    _require_precision(choice.engine, precision)
    extractor = _build(choice, resolved, precision, cache_dir)
    log.info("%s on %s: %s", resolved.spec.name, extractor.engine, choice.reason)
    return extractor


def choose(engine: str, device: str, *, int8: bool = False) -> Choice:
    """Engine and device for what is asked. Raises ConfigurationError for what is unknown or not installed."""
    if device not in DEVICES:
        raise ConfigurationError(f"Device {device!r} is unknown: use {', '.join(DEVICES)}.")
    if engine != "auto":
        return _asked(engine, device, int8=int8)
    if int8 or device == "cpu":
        return _on_cpu("a quantised graph runs on OpenVINO only" if int8 else "the CPU was asked for")
    if not gpu_is_visible():
        if device == "gpu":
            raise ConfigurationError(
                "A GPU was asked for and this machine shows no NVIDIA GPU: set PENUMBRA_DEVICE to auto or cpu."
            )
        return _on_cpu("this machine shows no NVIDIA GPU")
    for candidate in GPU_ENGINES:
        package = ENGINES[candidate].package
        if installed(package) and gpu_libraries(package):
            return Choice(candidate, "gpu", f"this machine shows an NVIDIA GPU and {package} has its libraries")
    if device == "gpu":
        raise ConfigurationError(
            "A GPU was asked for and neither jax nor tensorflow is installed with CUDA: install jax[cuda12] or "
            "tensorflow[and-cuda], or set PENUMBRA_DEVICE to auto or cpu."
        )
    return _on_cpu("an NVIDIA GPU is here, but neither jax nor tensorflow is installed with CUDA")


def _on_cpu(reason: str) -> Choice:
    for candidate, row in ENGINES.items():
        if installed(row.package):
            return Choice(candidate, "cpu", reason)
    raise ConfigurationError("No engine is installed: install penumbra[worker].")


def _asked(engine: str, device: str, *, int8: bool) -> Choice:
    if engine not in ENGINES:
        raise ConfigurationError(f"Engine {engine!r} is unknown: use auto, {' or '.join(ENGINES)}.")
    row = ENGINES[engine]
    if not installed(row.package):
        raise ConfigurationError(f"Engine {engine} is not installed: install penumbra[{row.extra}], or use auto.")
    if device == "gpu" and not row.gpu:
        raise ConfigurationError(f"Engine {engine} runs on the CPU: use {' or '.join(GPU_ENGINES)} for a GPU, or auto.")
    if int8 and engine != "openvino":
        raise ConfigurationError(f"A quantised graph (int8) cannot run on {engine}: use openvino or auto.")
    return Choice(engine, device if row.gpu else "cpu", "it was asked for")


def _require_precision(engine: str, precision: str) -> None:
    if precision not in PRECISIONS:
        raise ConfigurationError(
            f"Precision {precision!r} is unknown: use {', '.join(PRECISIONS)} (int8 is a feature set of its own)."
        )
    if precision != "auto" and precision not in ENGINES[engine].precisions:
        raise ConfigurationError(
            f"Engine {engine} has no {precision}: use auto, {' or '.join(ENGINES[engine].precisions)}."
        )


def _build(choice: Choice, resolved: ResolvedWeights, precision: str, cache_dir: Path) -> Extractor:
    row = ENGINES[choice.engine]
    if row.keras:
        require_backend(row.keras)
    module, function = row.builder.split(":")
    builder = cast("Callable[..., Extractor]", getattr(importlib.import_module(module), function))
    return builder(resolved, precision=precision, device=choice.device, cache_dir=cache_dir)
