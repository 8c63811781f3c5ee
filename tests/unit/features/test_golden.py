"""The golden check passes what is right, and catches each mistake it was made for."""

import dataclasses
import hashlib

import keras
import numpy as np
import pytest
from PIL import Image

from app.errors import ConfigurationError, GoldenCheckFailed
from app.features import backbone, expected
from app.features.engines import build_extractor
from app.features.golden import GoldenVectors, check, inputs, pinned, verify
from app.features.golden.vectors import PINNED
from app.features.spec import Features
from app.features.weights import CURRENT, KNOWN, ResolvedWeights, read_arrays, resolve
from app.features.weights.resolution import BUNDLE
from app.imaging.planes import grey_plane

XRAY = "densenet121-xray"


@pytest.fixture(scope="module")
def body():
    """DenseNet121 with the bundled weights, in this process."""
    return backbone.load_body(resolve(XRAY))


@pytest.fixture(scope="module")
def pooled(body):
    return backbone.pooled(body)


class Faulty:
    """An extractor that says it is `inner` and is not."""

    def __init__(self, inner, *, before=lambda batch: batch, after=lambda features: features, spec=None):
        self.spec = spec or inner.spec
        self.engine = inner.engine
        self._run = lambda batch: after(inner.extract(before(batch)))

    def extract(self, batch):
        return self._run(np.ascontiguousarray(batch, np.float32))


def failure(extractor) -> str:
    with pytest.raises(GoldenCheckFailed) as caught:
        check(extractor)
    return caught.value.message


def test_golden_scans_are_the_same_for_ever():
    pixels = [np.asarray(Image.open(inputs.io.BytesIO(scan))) for scan in inputs.golden_scans()]
    assert [plane.shape for plane in pixels] == [(288, 640), (372, 430), (260, 300), (250, 250, 3)]
    content = b"".join(np.ascontiguousarray(plane.astype("<u2")).tobytes() for plane in pixels)
    assert hashlib.sha256(content).hexdigest() == "9ea361a6a19e0672b998f86acf5b677c49dc6b54698d4233093d5fea97e3b6d5"


def test_default_engine_passes(extractor):
    report = check(extractor)
    assert report.pinned
    assert report.engine == extractor.engine
    assert report.avg_cosine >= verify.MIN_AVG_COSINE
    assert report.max_cosine >= verify.MIN_MAX_COSINE


def test_fp32_engines_pass_with_room(fp32, reference):
    for extractor in (fp32, reference):
        report = check(extractor)
        assert min(report.avg_cosine, report.max_cosine) > 0.99999


def test_every_known_feature_set_is_pinned():
    for known in KNOWN.values():
        vectors = pinned(known.golden)
        assert vectors.weights_digest == known.weights_digest
        assert vectors.preprocessing_digest == known.preprocessing.digest


def test_spread_of_the_golden_vectors_lets_differences_show():
    rows = pinned(KNOWN[XRAY].golden).features.avg
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert (unit @ unit.T)[~np.eye(4, dtype=bool)].max() < 0.99


MISTAKES = {
    "divided by 255 twice": lambda batch: batch / 255,
    "not divided by 255": lambda batch: batch * 255,
    "inverted polarity": lambda batch: 1 - batch,
    "normalised twice": lambda batch: (batch - 0.449) / 0.226,
    "normalisation missing": lambda batch: batch * 0.226 + 0.449,
    "mean missing": lambda batch: batch + 0.449,
    "deviation missing": lambda batch: (batch - 0.449) * 0.226 + 0.449,
    "scaled to -1..1": lambda batch: (2 * batch - 1) * 0.226 + 0.449,
    "upside down": lambda batch: batch[:, ::-1],
    "mirrored": lambda batch: batch[:, :, ::-1],
    "turned": lambda batch: np.rot90(batch, axes=(1, 2)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_inside_the_graph_is_caught(mistake, extractor):
    message = failure(Faulty(extractor, before=MISTAKES[mistake]))
    assert "weights, or the preprocessing inside" in message
    assert "0.999" in message


def test_order_of_rows_is_checked(extractor):
    failure(Faulty(extractor, after=lambda found: Features(found.avg[::-1], found.max[::-1])))


def test_swapped_poolings_are_caught(extractor):
    failure(Faulty(extractor, after=lambda found: Features(found.max, found.avg)))


def test_scaled_features_are_caught(extractor):
    assert "length" in failure(Faulty(extractor, after=lambda found: Features(found.avg * 2, found.max * 2)))


@pytest.mark.parametrize("value", [np.nan, 0.0, 1.0])
def test_senseless_features_are_caught(value, extractor):
    message = failure(Faulty(extractor, after=lambda found: Features(found.avg * 0 + value, found.max)))
    assert "weights" in message


def test_coarse_rounding_is_named_as_the_engine(extractor):
    noise = np.random.default_rng(0)

    def coarse(found):
        return Features(
            *(rows * noise.uniform(0.9, 1.1, rows.shape).astype(np.float32) for rows in (found.avg, found.max))
        )

    assert "engine: it rounds" in failure(Faulty(extractor, after=coarse))


@pytest.mark.parametrize("name", ["NEAREST", "BOX", "BICUBIC", "LANCZOS", "HAMMING"])
def test_wrong_resize_is_caught_and_named(name, extractor, monkeypatch):
    wrong = getattr(Image.Resampling, name)
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda image, size, _: resize(image, size, wrong))
    assert "Suspected: preprocessing: the pixels" in failure(extractor)


def test_orientation_left_out_is_caught(extractor, monkeypatch):
    def lying(image, bits, orientation, **options):
        return grey_plane(image, bits, 1, **options)

    monkeypatch.setattr("app.imaging.frames.grey_plane", lying)
    assert "Suspected: preprocessing" in failure(extractor)


def test_detour_through_eight_bits_is_caught(extractor, monkeypatch):
    def coarse(*given, **options):
        return np.round(grey_plane(*given, **options) * np.float32(255)) / np.float32(255)

    monkeypatch.setattr("app.imaging.frames.grey_plane", coarse)
    assert "Suspected: preprocessing" in failure(extractor)


def test_other_preprocessing_under_the_same_name_is_caught(extractor):
    other = dataclasses.replace(extractor.spec.preprocessing, version=2)
    message = failure(Faulty(extractor, spec=dataclasses.replace(extractor.spec, preprocessing=other)))
    assert "preprocessing: its digest" in message


def test_other_weights_under_the_same_name_are_caught(extractor):
    message = failure(Faulty(extractor, spec=dataclasses.replace(extractor.spec, weights_digest="0" * 64)))
    assert "weights: their digest" in message


@pytest.mark.slow
@pytest.mark.corpus
def test_imagenet_weights_in_the_place_of_the_bundled_are_caught(extractor, corpus, graphs):
    weights = str(corpus / "weights")
    imagenet = build_extractor(
        "densenet121-imagenet", weights=weights, engine="openvino", precision="auto", cache_dir=graphs
    )
    assert check(imagenet).avg_cosine > 0.99999
    message = failure(Faulty(imagenet, spec=extractor.spec))
    assert "Suspected: weights" in message


@pytest.mark.parametrize("fault", ["channels reversed", "variance for deviation"])
def test_mistake_in_the_graph_s_constants_is_caught(fault, body, reference, monkeypatch):
    layer = keras.layers.Normalization

    def wrong(*, mean, variance, **options):
        if fault == "channels reversed":
            return layer(mean=mean[::-1], variance=variance[::-1], **options)
        return layer(mean=mean, variance=[value**0.5 for value in variance], **options)

    monkeypatch.setattr("app.features.backbone.keras.layers.Normalization", wrong)
    run = backbone.forward(backbone.assemble(body, reference.spec))
    faulty = Faulty(reference)
    faulty.extract = lambda batch: Features(*run(batch))
    assert "weights, or the preprocessing inside" in failure(faulty) or fault == "channels reversed"


def test_unknown_weights_are_held_against_the_reference_of_their_conversion(extractor):
    spec = dataclasses.replace(extractor.spec, name="mine")
    faithful = Faulty(extractor, spec=spec)
    faithful.reference = pinned(KNOWN[XRAY].golden)
    assert check(faithful).pinned
    wrong = Faulty(extractor, spec=spec, before=lambda batch: 1 - batch)
    wrong.reference = pinned(KNOWN[XRAY].golden)
    failure(wrong)


def test_report_says_when_there_was_nothing_to_compare_with(extractor):
    report = check(Faulty(extractor, spec=dataclasses.replace(extractor.spec, name="mine")))
    assert not report.pinned


def test_damaged_pinned_vectors_are_an_error(tmp_path):
    (tmp_path / "x.npz").write_bytes((PINNED / f"{KNOWN[XRAY].golden}.npz").read_bytes()[:900])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        GoldenVectors.read(tmp_path / "x.npz")


class TestExpectation:
    """`*.expected.json` beside a weights file proves its loading."""

    def test_bundled_weights_prove_theirs(self, pooled):
        path = expected.find_expected(BUNDLE / CURRENT.file)
        expected.prove(path, pooled)

    @pytest.mark.parametrize("key", ["average_sum", "max_l2", "average_first8"])
    def test_each_stated_value_counts(self, key, pooled, tmp_path):
        stated = expected.json.loads((BUNDLE / CURRENT.file).with_suffix(".expected.json").read_text())
        stated[key] = [0.5] * 8 if key.endswith("8") else stated[key] * 1.01
        (tmp_path / "EXPECTED.json").write_text(expected.json.dumps(stated))
        with pytest.raises(ConfigurationError, match=key):
            expected.prove(expected.find_expected(tmp_path / "weights.npz"), pooled)

    @pytest.mark.parametrize("content", ["", "{", '{"input": "another"}'])
    def test_expectation_that_cannot_be_used_is_an_error(self, content, pooled, tmp_path):
        (tmp_path / "w.expected.json").write_text(content)
        with pytest.raises(ConfigurationError):
            expected.prove(tmp_path / "w.expected.json", pooled)

    def test_weights_without_one_have_none(self, tmp_path):
        assert expected.find_expected(tmp_path / "weights.npz") is None

    @pytest.mark.corpus
    def test_imagenet_weights_prove_theirs(self, corpus):
        path = next((corpus / "weights").glob("*.npz"))
        resolved = resolve("densenet121-imagenet", str(path))
        expected.prove(expected.find_expected(path), backbone.pooled(backbone.load_body(resolved)))


def test_wrong_arrays_for_this_keras_are_named(body):
    arrays = read_arrays(BUNDLE / CURRENT.file)
    del arrays["bn/beta"]
    with pytest.raises(ConfigurationError, match="bn/beta"):
        backbone.set_weights(body, arrays)


def test_download_that_fails_is_a_configuration_error(monkeypatch):
    def fail(**_):
        raise OSError("no route to host")

    monkeypatch.setattr("app.features.backbone.keras.applications.DenseNet121", fail)
    with pytest.raises(ConfigurationError, match="no route to host"):
        backbone.load_body(ResolvedWeights(resolve(XRAY).spec, None))
