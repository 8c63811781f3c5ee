"""From transmission to grey values: scatter, blur, noise, broken elements, gain, tone."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.simulator.beam import Floats
from app.simulator.noise import curve, normals
from app.simulator.profile import Range, ScannerProfile, Tone
from app.simulator.thickness import ROWS

STEPS = 4096
DECADES = 2.0


@dataclass(frozen=True)
class Exposure:
    """The settings of one scan; a ScannerProfile says what each means."""

    photons: float
    electronic_noise: float
    scatter: float
    blur_passes: int
    pulse_jitter: float
    element_jitter: float
    gain: float
    gamma: float
    dead_rows: tuple[tuple[int, float], ...]
    """Row, and the value that the broken element reads."""
    dark_columns: tuple[slice, ...]
    """Columns without beam."""
    held: slice
    """Columns that repeat their first."""
    drift: float = 0.0
    glare: float = 0.0
    grain: int = 1
    tone: Tone = Tone.POWER
    smeared: bool = False
    sharpen: float = 0.0


def draw_exposure(rng: np.random.Generator, profile: ScannerProfile, height: int, width: int) -> Exposure:
    """The settings of one scan by that scanner."""
    return Exposure(
        photons=float(np.exp(rng.uniform(*np.log(profile.photons)))),
        electronic_noise=float(rng.uniform(*profile.electronic_noise)),
        scatter=_mostly_low(rng, profile.scatter),
        blur_passes=int(rng.choice([0, 1, 2, 4], p=profile.blur)),
        pulse_jitter=float(rng.uniform(*profile.pulse_jitter)),
        element_jitter=float(rng.uniform(*profile.element_jitter)),
        gain=float(rng.uniform(*profile.gain)),
        gamma=float(rng.uniform(*profile.gamma)),
        dead_rows=_dead_rows(rng, profile.dead_rows, height),
        dark_columns=_dark_columns(rng, profile.dark_columns, width),
        held=_held(rng, profile.held, width),
        drift=float(rng.uniform(*profile.drift)),
        glare=float(rng.uniform(*profile.glare)),
        grain=profile.grain,
        tone=profile.tone,
        smeared=bool(rng.random() < profile.smear),
        sharpen=float(rng.uniform(*profile.sharpen)),
    )


def darkened(rng: np.random.Generator, exposure: Exposure) -> Exposure:
    """The same scan, taken with too low a dose and shown too dark."""
    return replace(
        exposure,
        gain=exposure.gain * float(rng.uniform(0.45, 0.75)),
        gamma=exposure.gamma * float(rng.uniform(1.0, 1.7)),
        photons=exposure.photons * float(rng.uniform(0.1, 0.5)),
    )


def clean_exposure() -> Exposure:
    """A perfect detector, for looking at transmission alone."""
    return Exposure(np.inf, 0.0, 0.0, 0, 0.0, 0.0, 1.0, 1.0, (), (), slice(0, 0))


def _mostly_low(rng: np.random.Generator, between: Range) -> float:
    return float(between[0] + (between[1] - between[0]) * rng.uniform() ** 1.3)


def _dead_rows(rng: np.random.Generator, odds: float, height: int) -> tuple[tuple[int, float], ...]:
    if rng.random() > odds:
        return ()
    values = (0.0, 1.0, 0.9, 0.3)
    return tuple((int(rng.integers(height)), float(rng.choice(values))) for _ in range(int(rng.integers(1, 4))))


def _dark_columns(rng: np.random.Generator, odds: float, width: int) -> tuple[slice, ...]:
    if rng.random() > odds:
        return ()
    wide = int(width * rng.uniform(0.005, 0.04))
    return (slice(0, wide) if rng.random() < 0.5 else slice(width - wide, width),)


def _held(rng: np.random.Generator, odds: float, width: int) -> slice:
    if rng.random() > odds:
        return slice(0, 0)
    start = int(rng.integers(0, width))
    return slice(start, min(width, start + int(rng.integers(3, 12))))


def detect(rng: np.random.Generator, passed: Floats, exposure: Exposure) -> NDArray[np.uint8]:
    """Grey values of a light-background scan, uint8 (height, width), from transmission of the same shape."""
    signal = _blurred(passed, exposure.blur_passes)
    if exposure.smeared:
        _binomial(signal.T)
    if exposure.glare:
        signal += np.float32(exposure.glare) * (_surrounding(passed) - signal)
    if exposure.scatter:
        signal += np.float32(exposure.scatter)
    rows, columns = _stripes(rng, signal.shape, exposure)
    signal *= rows[:, None]
    signal *= columns
    if exposure.held.stop > exposure.held.start:
        signal[:, exposure.held] = signal[:, exposure.held.start, None]
    signal += _noise(rng, signal, exposure)
    if exposure.sharpen:
        bend = signal[1:] - signal[:-1]
        bend *= np.float32(exposure.sharpen / 4)
        signal[1:-1] += bend[:-1]
        signal[1:-1] -= bend[1:]
    for row, value in exposure.dead_rows:
        signal[row] = value
    for dark in exposure.dark_columns:
        signal[:, dark] = 0.0
    return _shown(signal, exposure)


def _noise(rng: np.random.Generator, signal: Floats, exposure: Exposure) -> Floats:
    """Shot noise of the signal and the electronics' own, float32 of its shape."""
    spread = signal * np.float32(1 / exposure.photons)
    spread += np.float32(exposure.electronic_noise**2)
    np.sqrt(spread, out=spread)
    height, width = signal.shape
    if exposure.grain == 1:
        spread *= normals(rng, signal.shape)
    else:
        grain = exposure.grain
        coarse = normals(rng, (-(-height // grain), -(-width // grain)))
        spread *= np.repeat(np.repeat(coarse, grain, 0), grain, 1)[:height, :width]
    return spread


def _shown(signal: Floats, exposure: Exposure) -> NDArray[np.uint8]:
    """Gain and tone by a table of 1/4096 steps, for a power of every pixel costs more than all the rest."""
    steps = np.clip(np.linspace(0, 1.25, STEPS * 5 // 4 + 1) * exposure.gain, 0, 1)
    table = np.rint(255 * _toned(steps, exposure)).astype(np.uint8)
    shown = np.empty(signal.shape, np.uint8)
    for start in range(0, len(signal), ROWS):
        few = signal[start : start + ROWS]
        few *= np.float32(STEPS)
        few += np.float32(0.5)
        np.clip(few, 0, len(table) - 1, out=few)
        np.take(table, few.astype(np.intp), out=shown[start : start + ROWS], mode="clip")
    return shown


def _toned(steps: NDArray[np.float64], exposure: Exposure) -> NDArray[np.float64]:
    if exposure.tone is Tone.LOGARITHMIC:
        decades = np.log10(np.maximum(steps, 10**-DECADES)) / DECADES
        steps = 1 + decades
    elif exposure.tone is Tone.STRETCHED:
        low, at, high = (np.tanh(3.2 * (one - 0.45)) for one in (0.0, steps, 1.0))
        steps = (at - low) / (high - low)
    return np.asarray(steps**exposure.gamma)


def _stripes(rng: np.random.Generator, shape: tuple[int, ...], exposure: Exposure) -> tuple[Floats, Floats]:
    """Gain of each row and of each column: elements differ, pulses differ and drift."""
    columns = exposure.pulse_jitter * (rng.standard_normal(shape[1]) + curve(rng, shape[1], 30))
    if exposure.drift:
        columns += exposure.drift * np.clip(curve(rng, shape[1], int(rng.integers(3, 7))), -2, 1)
    rows = exposure.element_jitter * rng.standard_normal(shape[0])
    return (1 + rows).astype(np.float32), (1 + columns).astype(np.float32)


def _blurred(passed: Floats, passes: int) -> Floats:
    """A binomial 1-2-1 blur in both directions, `passes` times; a new array."""
    signal = passed.copy()
    for _ in range(passes):
        _binomial(signal)
        _binomial(signal.T)
    return signal


def _binomial(signal: Floats) -> None:
    """1-2-1 down the columns in place, as two averages of neighbours; the outermost rows stay."""
    half = signal[1:] + signal[:-1]
    signal[1:-1] = (half[1:] + half[:-1]) * np.float32(0.25)


def _surrounding(passed: Floats) -> Floats:
    """The signal averaged over about a fourth of the height around each pixel, float32 of the same shape."""
    height, width = passed.shape
    coarse = np.array(Image.fromarray(passed).reduce(max(1, height // 16)), np.float32)
    small = Image.fromarray(_blurred(coarse, 4))
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), np.float32)
