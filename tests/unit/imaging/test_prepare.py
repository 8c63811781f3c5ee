"""From a plane to the network's input, and the identity of the way there."""

import dataclasses
import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.errors import ConfigurationError
from app.features.weights import NETWORKS
from app.features.weights.known import sets_of
from app.imaging import PROFILES, Limits, Preprocessing, load, prepare

CORPUS = Path(__file__).resolve().parents[3] / "../shared/corpus"
LIMITS = Limits(10**8, 10**8, 1)
DIGEST = "66d71eb6c3f359fe1baca890484999f63de763daa322fe1cc1cf5ea39390110e"


def library(image: Image.Image) -> np.ndarray:
    """How the bundled weights' training prepared its films."""
    resized = image.convert("L").resize((224, 224), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32) / 255


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 2**32 - 1))
def test_eight_bit_images_are_within_one_level_of_the_library(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    found = prepare(pixels.astype(np.float32) / np.float32(255), Preprocessing())
    assert found.shape == (224, 224)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.abs(found - library(Image.fromarray(pixels))).max() <= 1.0001 / 255


def test_image_of_the_right_size_is_not_resampled(encode):
    pixels = np.random.default_rng(2).integers(0, 256, (224, 224), dtype=np.uint8)
    found = load(encode(pixels, "PNG"), LIMITS, Preprocessing())
    np.testing.assert_array_equal(found, pixels.astype(np.float32) / np.float32(255))


def test_constant_image_stays_constant(encode):
    found = load(encode(Image.new("L", (700, 90), 77), "PNG"), LIMITS, Preprocessing())
    np.testing.assert_allclose(found, 77 / 255, atol=1e-6)


def test_small_film_loads_in_about_a_millisecond(encode):
    pixels = np.random.default_rng(3).normal(128, 20, (224, 224)).clip(0, 255).astype(np.uint8)
    content = encode(pixels, "JPEG", quality=90)
    best = min(_seconds(content) for _ in range(20))
    assert best < 0.004  # 0.3 ms measured alone; this machine is shared


def _seconds(content: bytes) -> float:
    start = time.perf_counter()
    load(content, LIMITS, Preprocessing())
    return time.perf_counter() - start


def test_digest_is_pinned():
    """Changing it strands every stored vector: raise the version and know why."""
    assert Preprocessing().digest == DIGEST


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"mean": (0.5, 0.5, 0.5)}, {"std": (1.0, 1.0, 1.0)}, {"height": 320, "width": 320}],
)
def test_every_change_changes_the_digest(change):
    assert dataclasses.replace(Preprocessing(), **change).digest != DIGEST


def test_stored_preprocessing_comes_back_the_same():
    stored = json.loads(json.dumps(Preprocessing().as_dict()))
    assert Preprocessing.from_dict(stored) == Preprocessing()


def test_the_identity_of_the_plain_feature_set_is_pinned():
    """Stored vectors and shipped heads name it: fields that came later must not enter it."""
    spec = next(sets_of(NETWORKS[0], current=False)).spec
    assert spec.digest == "60a72f3e0a11ea6505bcddd20f4add5cc02ddc7a6c9db3eebbb4a06588004881"
    assert set(spec.as_dict()["preprocessing"]).isdisjoint({"profile", "cut", "steps"})


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_has_an_identity_of_its_own_and_comes_back_from_json(profile):
    preprocessing = Preprocessing.of_profile(profile)
    assert preprocessing.profile == profile
    assert preprocessing.digest not in {DIGEST, *(Preprocessing.of_profile(o).digest for o in PROFILES if o != profile)}
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.as_dict()))) == preprocessing


@pytest.mark.parametrize(
    "change", [{"cut": "frame"}, {"steps": ()}, {"polarity": "as displayed"}, {"profile": "luggage"}]
)
def test_a_profile_carried_out_otherwise_is_refused(change):
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        Preprocessing.from_dict(Preprocessing.of_profile("container").as_dict() | change)


@pytest.mark.parametrize("change", [{"resize": "nearest"}, {"polarity": "inverted"}, {"crop": "centre"}])
def test_step_this_version_does_not_know_is_refused(change):
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        Preprocessing.from_dict(Preprocessing().as_dict() | change)


def test_fields_this_version_does_not_know_are_refused():
    with pytest.raises(ConfigurationError, match="window"):
        Preprocessing.from_dict(Preprocessing().as_dict() | {"window": 3})


@pytest.mark.corpus
def test_real_scans_are_within_one_level_of_the_library():
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")
    paths = [*sorted(CORPUS.glob("container/*/*.jpg")), *sorted(CORPUS.glob("chest/original_size/*/*"))[:12]]
    assert paths
    for path in paths:
        found = load(path, LIMITS, Preprocessing())
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            assert np.abs(found - library(image)).max() <= 1.0001 / 255, path.name
