"""Weights are found, whole and what their name says, or the error says what is wrong."""

import numpy as np
import pytest

from app.errors import ConfigurationError
from app.features.weights import (
    CURRENT,
    IMAGENET_DOWNLOAD,
    KNOWN,
    NETWORKS,
    read_arrays,
    resolve,
    weights_digest,
)
from app.features.weights.arrays import expected_shapes
from app.features.weights.resolution import BUNDLE

XRAY = "densenet121-xray"
BUNDLED = BUNDLE / CURRENT.file


@pytest.fixture(scope="module")
def arrays():
    return read_arrays(BUNDLED)


@pytest.fixture
def save(tmp_path):
    def saved(arrays, *, name="weights.npz", compressed=False):
        path = tmp_path / name
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return path

    return saved


def test_bundled_weights_are_complete_and_known(arrays):
    assert len(arrays) == 604
    assert sum(array.size for array in arrays.values()) == 7_037_504
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert weights_digest(arrays) == KNOWN[XRAY].weights_digest
    assert resolve(XRAY).path == BUNDLED


def test_every_known_feature_set_states_its_licence():
    assert all(known.licence and known.source for known in KNOWN.values())
    for network in NETWORKS:
        card = (BUNDLE / network.file).with_suffix(".md").read_text(encoding="utf-8")
        assert "Apache-2.0" in card
        assert network.weights_digest in card


def test_repacked_weights_are_the_same_weights(arrays, save):
    half = {name: array.astype(np.float16) for name, array in reversed(arrays.items())}
    older = {name.replace("conv1_conv/", "conv1/conv/").replace("conv1_bn/", "conv1/bn/"): half[name] for name in half}
    older["fc1000/kernel"] = np.zeros((1024, 1000), np.float16)
    path = save(older, compressed=True)
    assert resolve(XRAY, str(path)).spec == resolve(XRAY).spec
    assert resolve(XRAY, str(path.parent)).path == path


def test_one_changed_value_is_another_digest(arrays, save):
    changed = arrays | {"bn/beta": arrays["bn/beta"] + np.float32(1e-3)}
    path = save(changed)
    assert resolve("my-weights", str(path)).spec.digest != resolve(XRAY).spec.digest
    with pytest.raises(ConfigurationError, match="another name"):
        resolve(XRAY, str(path))


def test_file_that_is_replaced_after_resolving_is_refused(arrays, save):
    resolved = resolve("my-weights", str(save(arrays)))
    save(arrays | {"bn/beta": arrays["bn/beta"] + 1})
    with pytest.raises(ConfigurationError, match="changed"):
        resolved.arrays()


def test_missing_array_is_named(arrays, save):
    del arrays["conv3_block7_2_conv/kernel"]
    path = save(arrays)
    with pytest.raises(ConfigurationError, match=r"weights\.npz.*conv3_block7_2_conv/kernel"):
        resolve("my-weights", str(path))


@pytest.mark.parametrize(
    ("replacement", "reason"),
    [
        (np.zeros(7, np.float32), r"\(7,\)"),
        (np.zeros(1024, np.int32), "int32"),
        (np.full(1024, np.nan, np.float32), "NaN"),
        (np.full(1024, np.inf, np.float16), "NaN or infinite"),
        (np.array([None] * 1024, object), "cannot be read"),
    ],
)
def test_wrong_array_is_refused(replacement, reason, save):
    whole = {name: np.zeros(shape, np.float16) for name, shape in expected_shapes().items()}
    path = save(whole | {"bn/gamma": replacement})
    with pytest.raises(ConfigurationError, match=reason):
        read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY garbage", b"text"])
def test_file_that_is_no_archive_is_refused(content, tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"weights\.npz"):
        resolve("my-weights", str(path))


def test_cut_file_is_refused(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(BUNDLED.read_bytes()[:5_000_000])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        resolve("my-weights", str(path))


def test_flipped_bit_is_refused(tmp_path):
    content = bytearray(BUNDLED.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError):
        resolve(XRAY, str(path))


@pytest.mark.parametrize(
    ("name", "weights", "reason"),
    [
        (XRAY, "/nowhere/x.npz", "do not exist"),
        ("densenet121-imagenet", None, "PENUMBRA_WEIGHTS"),
        ("something-else", None, "PENUMBRA_WEIGHTS"),
        (XRAY, IMAGENET_DOWNLOAD, "for densenet121-imagenet only"),
        ("../etc", None, "no name"),
        ("", None, "no name"),
    ],
)
def test_what_cannot_be_resolved_says_why(name, weights, reason):
    with pytest.raises(ConfigurationError, match=reason):
        resolve(name, weights)


def test_folder_with_no_single_file_is_refused(arrays, save, tmp_path):
    with pytest.raises(ConfigurationError, match=r"0 \.npz"):
        resolve("my-weights", str(tmp_path))
    save({"a": np.zeros(1)}, name="a.npz")
    save({"a": np.zeros(1)}, name="b.npz")
    with pytest.raises(ConfigurationError, match=r"2 \.npz"):
        resolve("my-weights", str(tmp_path))


def test_download_happens_only_when_asked_for_and_not_while_resolving():
    resolved = resolve("densenet121-imagenet", IMAGENET_DOWNLOAD)
    assert resolved.path is None
    assert resolved.spec.weights_digest == KNOWN["densenet121-imagenet"].weights_digest


@pytest.mark.corpus
def test_imagenet_weights_are_known_by_their_contents(corpus):
    resolved = resolve("densenet121-imagenet", str(corpus / "weights"))
    assert resolved.path.name == "densenet121_imagenet_full_float32.npz"
