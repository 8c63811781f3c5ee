"""From transmission to grey values: scatter, blur, noise, broken elements, gain, gamma."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.simulator.beam import Floats
from app.simulator.noise import curve


@dataclass(frozen=True)
class Exposure:
    """The settings of one scan; shares are of the unattenuated beam."""

    photons: float
    """Detected quanta per pixel in the open beam: shot noise is one over its root."""
    electronic_noise: float
    scatter: float
    blur_passes: int
    pulse_jitter: float
    """Spread of the dose from column to column."""
    element_jitter: float
    """Spread of the detector elements' gain left after calibration, row to row."""
    gain: float
    gamma: float
    dead_rows: tuple[tuple[int, float], ...]
    """Row, and the value that the broken element reads."""
    dark_columns: tuple[slice, ...]
    """Columns without beam."""
    held: slice
    """Columns that repeat their first: the truck went on while the line stood still."""


def random_exposure(rng: np.random.Generator, height: int, width: int) -> Exposure:
    """Mostly clean, as the scans of a well-kept scanner are; sometimes poor."""
    poor = rng.random() < 0.15
    return Exposure(
        photons=float(np.exp(rng.uniform(np.log(1e3 if poor else 1e4), np.log(2e4 if poor else 2e5)))),
        electronic_noise=float(rng.uniform(0.0005, 0.008 if poor else 0.003)),
        scatter=float(rng.uniform(0, 0.02) ** 1.3),
        blur_passes=int(rng.choice([0, 1, 2, 4], p=[0.4, 0.4, 0.16, 0.04])),
        pulse_jitter=float(rng.uniform(0.0005, 0.008)),
        element_jitter=float(rng.uniform(0.0003, 0.004)),
        gain=float(rng.uniform(0.85, 0.98) if poor else rng.uniform(0.975, 1.02)),
        gamma=float(rng.uniform(0.7, 1.5) if poor else rng.uniform(0.85, 1.2)),
        dead_rows=_dead_rows(rng, height),
        dark_columns=_dark_columns(rng, width),
        held=_held(rng, width),
    )


def clean_exposure() -> Exposure:
    """A perfect detector, for looking at transmission alone."""
    return Exposure(np.inf, 0.0, 0.0, 0, 0.0, 0.0, 1.0, 1.0, (), (), slice(0, 0))


def _dead_rows(rng: np.random.Generator, height: int) -> tuple[tuple[int, float], ...]:
    if rng.random() > 0.15:
        return ()
    values = (0.0, 1.0, 0.9, 0.3)
    return tuple((int(rng.integers(height)), float(rng.choice(values))) for _ in range(int(rng.integers(1, 4))))


def _dark_columns(rng: np.random.Generator, width: int) -> tuple[slice, ...]:
    if rng.random() > 0.05:
        return ()
    wide = int(width * rng.uniform(0.005, 0.04))
    return (slice(0, wide) if rng.random() < 0.5 else slice(width - wide, width),)


def _held(rng: np.random.Generator, width: int) -> slice:
    if rng.random() > 0.04:
        return slice(0, 0)
    start = int(rng.integers(0, width))
    return slice(start, min(width, start + int(rng.integers(3, 12))))


def detect(rng: np.random.Generator, passed: Floats, exposure: Exposure) -> NDArray[np.uint8]:
    """Grey values of a light-background scan, uint8 (height, width), from transmission of the same shape."""
    signal = _blurred(passed, exposure.blur_passes) + np.float32(exposure.scatter)
    signal *= _stripes(rng, signal.shape, exposure)
    if exposure.held.stop > exposure.held.start:
        signal[:, exposure.held] = signal[:, exposure.held.start, None]
    variance = signal * np.float32(1 / exposure.photons) + np.float32(exposure.electronic_noise**2)
    signal += rng.standard_normal(signal.shape, np.float32) * np.sqrt(variance)
    for row, value in exposure.dead_rows:
        signal[row] = value
    for columns in exposure.dark_columns:
        signal[:, columns] = 0.0
    return _shown(signal, exposure)


def _shown(signal: Floats, exposure: Exposure) -> NDArray[np.uint8]:
    """Gain and gamma by a table of 1/4096 steps, for a power of every pixel costs more than all the rest."""
    steps = np.clip(np.linspace(0, 1.25, 5121) * exposure.gain, 0, 1)
    table = np.rint(255 * steps**exposure.gamma).astype(np.uint8)
    step = np.clip(signal * np.float32(4096) + np.float32(0.5), 0, 5120).astype(np.int16)
    return np.asarray(table[step], np.uint8)


def _stripes(rng: np.random.Generator, shape: tuple[int, ...], exposure: Exposure) -> Floats:
    """Gain of each pixel: pulses differ from column to column and drift, elements from row to row."""
    columns = exposure.pulse_jitter * (rng.standard_normal(shape[1]) + curve(rng, shape[1], 30))
    rows = exposure.element_jitter * rng.standard_normal(shape[0])
    return np.asarray((1 + rows[:, None].astype(np.float32)) * (1 + columns.astype(np.float32)), np.float32)


def _blurred(passed: Floats, passes: int) -> Floats:
    """A binomial 1-2-1 blur in both directions, `passes` times; a new array."""
    signal = passed.copy()
    for _ in range(passes):
        signal[1:-1] = signal[1:-1] * 0.5 + (signal[:-2] + signal[2:]) * 0.25
        signal[:, 1:-1] = signal[:, 1:-1] * 0.5 + (signal[:, :-2] + signal[:, 2:]) * 0.25
    return signal
