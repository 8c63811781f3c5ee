"""Copies of real films, as another archive would have left them, are found; films of other patients are not."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.datasets.duplicates import BOUND, across
from app.features.engines.build import build_extractor
from app.features.spec import Extractor
from app.imaging.header import Limits
from app.imaging.prepare import load

FILMS = 24
LIMITS = Limits(1 << 28, 80_000_000, 16)


def encoded(film: Image.Image, form: str, **options: int) -> bytes:
    stream = io.BytesIO()
    film.save(stream, form, **options)
    return stream.getvalue()


def reduced(film: Image.Image) -> bytes:
    return encoded(
        film.resize((512, round(512 * film.height / film.width)), Image.Resampling.LANCZOS), "JPEG", quality=80
    )


COPIES = {
    "PNG": lambda film: encoded(film, "PNG"),
    "JPEG of quality 90": lambda film: encoded(film, "JPEG", quality=90),
    "JPEG of quality 75": lambda film: encoded(film, "JPEG", quality=75),
    "512 pixels wide": reduced,
    "a tenth darker": lambda film: encoded(film.point(lambda value: value * 0.9), "JPEG", quality=90),
}


@pytest.fixture(scope="module")
def films(corpus: Path) -> list[Path]:
    """Of different patients."""
    found = sorted((corpus / "chest/train").glob("*/*.jpeg"))
    return found[:: len(found) // FILMS][:FILMS]


@pytest.fixture(scope="module")
def extractor(graphs: Path) -> Extractor:
    return build_extractor("densenet121-xray", weights=None, engine="openvino", precision="auto", cache_dir=graphs)


def vectors(extractor: Extractor, contents: list[bytes]) -> np.ndarray:
    planes = np.stack([load(content, LIMITS, extractor.spec.preprocessing) for content in contents])
    return np.array(extractor.extract(planes).avg)


@pytest.mark.corpus
@pytest.mark.parametrize("how", COPIES)
def test_a_film_encoded_again_is_a_near_duplicate_and_no_other_film_is(
    extractor: Extractor, films: list[Path], how: str
) -> None:
    contents = [film.read_bytes() for film in films]
    copies = [COPIES[how](Image.open(io.BytesIO(content)).convert("L")) for content in contents]
    assert not set(copies) & set(contents)
    avg = np.concatenate([vectors(extractor, contents), vectors(extractor, copies)])
    found = across(avg, np.repeat([0, 1], FILMS), BOUND)
    assert found.pairs == FILMS
    worst = {tuple(sorted(pair)) for pair in found.worst.tolist()}
    assert worst <= {(row, row + FILMS) for row in range(FILMS)}
