"""Architectures: the table is what Keras builds, its normalisation what Keras wants, and weights of any form load."""

import importlib
import json

import keras
import numpy as np
import pytest

from app.errors import ConfigurationError
from app.features import backbone, install, pack
from app.features.backbones import BACKBONES, describe_backbone, make_spec
from app.features.engines import build_extractor, cache
from app.features.golden import check, prepared_scans
from app.features.weights import ResolvedWeights, read_arrays, resolve_spec
from app.imaging import Preprocessing

PREPROCESSING = {
    "densenet": "densenet", "resnet": "resnet50", "inceptionv3": "inception_v3", "xception": "xception",
    "mobilenetv2": "mobilenet_v2", "efficientnet": "efficientnet",
}  # fmt: skip
SMALL = "small-cnn-150"


def keras_preprocessing(name: str):
    module = next(module for start, module in PREPROCESSING.items() if name.startswith(start))
    return importlib.import_module(f"keras.applications.{module}").preprocess_input


@pytest.fixture
def at_once(monkeypatch):
    """Conversions in this process, which has Keras loaded anyway."""
    from app.features.convert import convert

    monkeypatch.setattr(cache, "_convert", convert)


@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.downloadable])
def test_normalisation_is_that_of_keras(name):
    """Keras prepares colour in 0..255, we grey in [0, 1]."""
    grey = np.random.default_rng(0).random((1, 8, 8, 1), np.float32).repeat(3, axis=-1)
    row = describe_backbone(name)
    ours = (grey - np.asarray(row.mean)) / np.asarray(row.std)
    np.testing.assert_allclose(ours, keras_preprocessing(name)(grey * 255), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["mobilenetv2", "efficientnetb0"])
def test_poolings_are_those_of_keras(name, at_once, tmp_path):
    """All others: `python -m benchmarks.backbones`."""
    digest = pack.pack(name, "random:7", tmp_path)
    spec = make_spec(f"{name}-random", name, digest)
    extractor = build_extractor(
        spec, weights=None, engine="openvino", precision="fp32", cache_dir=tmp_path, weights_dir=tmp_path
    )
    scans = prepared_scans(spec.preprocessing)
    features = extractor.extract(scans)
    application = getattr(keras.applications, describe_backbone(name).builder.split(":")[1])
    theirs = application(include_top=False, weights=None, pooling="avg", input_shape=(spec.input_size,) * 2 + (3,))
    backbone.set_weights(theirs, read_arrays(tmp_path / f"{digest}.npz", name))
    expected = theirs(keras_preprocessing(name)(scans[..., None].repeat(3, axis=-1) * 255), training=False).numpy()
    assert np.abs(features.avg - expected).max() < 1e-4 * np.abs(expected).max()
    found = extractor.feature_map(scans)
    assert found.shape[-1] == spec.avg_dim
    np.testing.assert_allclose(found.max(axis=(1, 2)), features.max, rtol=1e-4, atol=1e-4)
    assert check(extractor).avg_cosine > 0.99999


def test_networks_of_one_process_have_the_same_names():
    """Keras counts layers without a name through the process."""
    first, second = (backbone.body_variables(backbone.new_body("xception", (75, 75))) for _ in range(2))
    assert list(first) == list(second)
    assert {"conv2d/kernel", "conv2d_3/kernel", "batch_normalization/beta", "block1_conv1/kernel"} <= set(first)


def test_second_scaling_of_efficientnet_is_part_of_its_variance():
    """Keras builds a layer more where the weights are ImageNet's; the network is the same."""
    body = backbone.new_body("efficientnetb0", (32, 32))
    arrays = backbone.body_arrays(body)
    arrays["normalization/mean"] = np.asarray((0.485, 0.456, 0.406), np.float32)
    arrays["normalization/variance"] = np.asarray((0.052, 0.050, 0.051), np.float32)
    backbone.set_weights(body, backbone._without_second_scaling(arrays))
    grey = np.random.default_rng(0).random((1, 32, 32, 3), np.float32) * 255
    stem = keras.Model(body.input, body.get_layer("stem_conv_pad").input)
    normalised = (grey / 255 - arrays["normalization/mean"]) / np.sqrt(arrays["normalization/variance"])
    expected = normalised / np.sqrt(np.asarray(backbone.EFFICIENTNET_VARIANCE, np.float32))
    np.testing.assert_allclose(stem(grey).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_network_of_a_seed_is_the_same_again_and_alive(tmp_path):
    first, again, other = (pack.pack(SMALL, f"random:{seed}", tmp_path / str(i)) for i, seed in enumerate((3, 3, 4)))
    assert first == again != other
    spec = make_spec("untrained", SMALL, first)
    model = backbone.build(ResolvedWeights(spec, tmp_path / "0" / f"{first}.npz"))
    avg = model(prepared_scans(spec.preprocessing))[0].numpy()
    assert 0.01 < avg.mean() < 100


@pytest.fixture
def trained(tmp_path):
    """A small network with a top, as somebody may have trained it."""
    body = backbone.new_body(SMALL, (150, 150))
    top = keras.layers.Dense(2, name="answer")(keras.layers.GlobalAveragePooling2D()(body.output))
    whole = keras.Model(body.input, top)
    return body, whole


# Keras's own saving converts its variables in a way that NumPy 2 announces the end of.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
@pytest.mark.parametrize("form", ["weights.npz", "top.npz", "body.weights.h5", "whole.keras", "nested.keras"])
def test_weights_of_any_form_become_the_same_file(form, trained, tmp_path):
    body, whole = trained
    path = tmp_path / form
    if form == "weights.npz":
        np.savez(path, **backbone.body_arrays(body))
    elif form == "top.npz":
        np.savez(path, **backbone.body_arrays(whole))
    elif form == "body.weights.h5":
        body.save_weights(path)
    elif form == "whole.keras":
        whole.save(path)
    else:
        scan = keras.Input((150, 150, 3))
        keras.Model(scan, body(scan)).save(path)
    digest = pack.pack(SMALL, str(path), tmp_path / "weights")
    stored = read_arrays(tmp_path / "weights" / f"{digest}.npz", SMALL)
    for name, array in backbone.body_arrays(body).items():
        np.testing.assert_array_equal(stored[name], array)
    assert len(stored) == len(backbone.body_arrays(body))


def test_weights_of_another_network_are_refused_by_name(trained, tmp_path):
    np.savez(tmp_path / "w.npz", **backbone.body_arrays(trained[0]))
    with pytest.raises(ConfigurationError, match=r"lacks 260 of 260 arrays"):
        pack.pack("mobilenetv2", str(tmp_path / "w.npz"), tmp_path)
    (tmp_path / "w.weights.h5").write_bytes(b"no such thing")
    with pytest.raises(ConfigurationError, match="does not fit"):
        pack.pack(SMALL, str(tmp_path / "w.weights.h5"), tmp_path)


def test_weights_that_are_not_finite_are_refused(trained, tmp_path):
    arrays = backbone.body_arrays(trained[0])
    arrays["bn1/beta"][0] = np.nan
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(ConfigurationError, match="bn1/beta"):
        pack.pack(SMALL, str(tmp_path / "w.npz"), tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_weights_are_installed_by_a_process_of_its_own(trained, tmp_path):
    np.savez(tmp_path / "w.npz", **backbone.body_arrays(trained[0]))
    digest = install.install_weights(str(tmp_path / "w.npz"), tmp_path / "weights", SMALL)
    assert digest == pack.pack(SMALL, str(tmp_path / "w.npz"), tmp_path / "again")
    spec = make_spec("mine", SMALL, digest, profile="container")
    assert resolve_spec(spec, None, tmp_path / "weights").path == tmp_path / "weights" / f"{digest}.npz"


@pytest.mark.parametrize(
    ("source", "name", "reason"),
    [
        ("nowhere.npz", "resnet50", "do not exist"),
        (__file__, "resnet50", "ends in"),
        ("random:x", "resnet50", "seed"),
        ("imagenet-download", SMALL, "no weights for"),
        ("random:1", "vgg16", "no backbone"),
    ],
)
def test_what_cannot_be_installed_says_why(source, name, reason, tmp_path):
    with pytest.raises(ConfigurationError, match=reason):
        install.install_weights(source, tmp_path, name)


class TestStoredSpec:
    """A stored feature set finds its weights by their digest."""

    def test_bundled_weights_serve_every_feature_set_with_their_digest(self, spec):
        assert resolve_spec(make_spec("any", "densenet121", spec.weights_digest, profile="chest")).path.is_file()

    def test_named_file_serves_if_it_is_the_right_one(self, trained, tmp_path):
        np.savez(tmp_path / "w.npz", **backbone.body_arrays(trained[0]))
        digest = pack.pack(SMALL, str(tmp_path / "w.npz"), tmp_path / "weights")
        spec = make_spec("mine", SMALL, digest)
        assert resolve_spec(spec, str(tmp_path / "w.npz")).path == tmp_path / "w.npz"
        with pytest.raises(ConfigurationError, match="PENUMBRA_WEIGHTS"):
            resolve_spec(make_spec("other", SMALL, "0" * 64), str(tmp_path / "w.npz"), tmp_path / "weights")

    def test_missing_weights_name_the_file_to_copy(self, tmp_path):
        with pytest.raises(ConfigurationError, match=str(tmp_path / ("0" * 64 + ".npz"))):
            resolve_spec(make_spec("mine", SMALL, "0" * 64), None, tmp_path)

    def test_file_that_is_not_what_its_name_says_is_refused(self, trained, tmp_path):
        np.savez(tmp_path / ("0" * 64 + ".npz"), **backbone.body_arrays(trained[0]))
        resolved = resolve_spec(make_spec("mine", SMALL, "0" * 64), None, tmp_path)
        with pytest.raises(ConfigurationError, match="install them again"):
            resolved.arrays()


def test_spec_of_a_backbone_comes_back_from_json(spec):
    made = make_spec("mine", "resnet50", "0" * 64, profile="container")
    assert type(made).from_dict(json.loads(json.dumps(made.as_dict()))) == made
    assert (made.avg_dim, made.max_dim, made.input_size) == (2048, 2048, 224)
    assert made.preprocessing.cut == Preprocessing.of_profile("container").cut
    assert make_spec("a", "densenet121", spec.weights_digest).digest == spec.digest
