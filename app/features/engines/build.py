"""Choosing an engine. What is asked for is what runs, or an error says why it cannot."""

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from app.errors import ConfigurationError
from app.features.spec import Extractor
from app.features.weights import ResolvedWeights, resolve

ENGINES: Mapping[str, str] = {
    "openvino": "app.features.engines.openvino",
    "tensorflow": "app.features.engines.tensorflow",
}
PRECISIONS = ("auto", "bf16", "fp32")


class EngineModule(Protocol):
    """What each module named in `ENGINES` offers."""

    def build(self, resolved: ResolvedWeights, *, precision: str, cache_dir: Path) -> Extractor: ...


def build_extractor(name: str, *, weights: str | None, engine: str, precision: str, cache_dir: Path) -> Extractor:
    """The extractor of feature set `name`, ready to run.

    weights as `app.features.weights.resolve` takes them; engine is `auto` (the fastest installed) or one
    of `ENGINES`; precision is `auto`, `bf16` or `fp32`; converted graphs are kept below cache_dir.
    The first start with given weights converts them (about 15 s), later ones take about a second.
    Raises ConfigurationError for anything asked for that this machine or installation lacks.
    """
    if precision not in PRECISIONS:
        raise ConfigurationError(f"Precision {precision!r} is unknown: use one of {', '.join(PRECISIONS)}.")
    module = importlib.import_module(ENGINES[_choose(engine)])
    return cast("EngineModule", module).build(resolve(name, weights), precision=precision, cache_dir=cache_dir)


def _choose(engine: str) -> str:
    if engine == "auto":
        for candidate in ENGINES:
            if _installed(candidate):
                return candidate
        raise ConfigurationError("No engine is installed: install penumbra[worker].")
    if engine not in ENGINES:
        raise ConfigurationError(f"Engine {engine!r} is unknown: use auto, {' or '.join(ENGINES)}.")
    if not _installed(engine):
        raise ConfigurationError(f"Engine {engine} is not installed: install penumbra[worker], or use auto.")
    return engine


def _installed(engine: str) -> bool:
    return importlib.util.find_spec(engine) is not None
