"""What runs is what was asked for or what `auto` says it chose; a GPU that is absent is an error."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import app
from app.errors import ConfigurationError
from app.features import pack
from app.features.backbones import make_spec
from app.features.engines import build, build_extractor, choose, environment, measure_chunk
from app.features.quantise import graph_digest, quantise
from app.features.spec import FeatureSetSpec
from app.features.weights import resolve
from app.imaging import Preprocessing

XRAY = "densenet121-xray"
SMALL = "small-cnn-150"


@pytest.fixture
def machine(monkeypatch):
    """A machine of which the test says what it shows and what is installed on it."""

    def shows(*, gpu, libraries=()):
        monkeypatch.setattr(build, "gpu_is_visible", lambda: gpu)
        monkeypatch.setattr(build, "installed", lambda package: True)
        monkeypatch.setattr(build, "gpu_libraries", lambda package: package in libraries)

    return shows


@pytest.mark.parametrize(
    ("gpu", "libraries", "device", "engine", "reason"),
    [
        (False, (), "auto", "openvino", "shows no NVIDIA GPU"),
        (True, (), "auto", "openvino", "neither jax nor tensorflow"),
        (True, ("tensorflow",), "auto", "tensorflow", "has its libraries"),
        (True, ("tensorflow", "jax"), "auto", "jax", "has its libraries"),
        (True, ("jax",), "cpu", "openvino", "the CPU was asked for"),
        (True, ("jax",), "gpu", "jax", "has its libraries"),
    ],
)
def test_auto_takes_the_gpu_that_can_be_used_and_says_why(gpu, libraries, device, engine, reason, machine):
    machine(gpu=gpu, libraries=libraries)
    choice = choose("auto", device)
    assert (choice.engine, choice.device) == (engine, "cpu" if engine == "openvino" else "gpu")
    assert reason in choice.reason


@pytest.mark.parametrize(
    ("gpu", "engine", "device", "reason"),
    [
        (False, "auto", "gpu", "shows no NVIDIA GPU"),
        (True, "auto", "gpu", "neither jax nor tensorflow is installed with CUDA"),
        (True, "openvino", "gpu", "runs on the CPU"),
        (False, "auto", "tpu", "Device 'tpu' is unknown"),
    ],
)
def test_what_cannot_be_had_is_an_error(gpu, engine, device, reason, machine):
    machine(gpu=gpu)
    with pytest.raises(ConfigurationError, match=reason):
        choose(engine, device)


def test_quantised_graph_runs_on_openvino_only(machine):
    machine(gpu=True, libraries=("jax",))
    assert choose("auto", "auto", int8=True).engine == "openvino"
    with pytest.raises(ConfigurationError, match="use openvino"):
        choose("tensorflow", "auto", int8=True)


@pytest.mark.skipif(environment.gpu_is_visible(), reason="this machine has a GPU")
def test_gpu_that_tensorflow_does_not_see_is_an_error(graphs):
    with pytest.raises(ConfigurationError, match="TensorFlow sees none"):
        build_extractor(XRAY, weights=None, engine="tensorflow", precision="auto", device="gpu", cache_dir=graphs)


def test_choice_is_logged_with_its_reason(graphs, caplog):
    with caplog.at_level(logging.INFO):
        build_extractor(XRAY, weights=None, engine="auto", precision="fp32", device="cpu", cache_dir=graphs)
    assert "densenet121-xray on openvino/fp32: the CPU was asked for" in caplog.messages


def test_second_backend_of_keras_in_a_process_is_an_error(graphs):
    """Keras runs on TensorFlow in this one."""
    import keras  # noqa: F401

    with pytest.raises(ConfigurationError, match="start another process"):
        build_extractor(XRAY, weights=None, engine="jax", precision="auto", cache_dir=graphs)


def test_feature_sets_of_one_network_share_it(extractor, graphs):
    """A profile changes pixels before the network, not the network."""
    plain = resolve(XRAY).spec
    other = FeatureSetSpec("other", "densenet121", plain.weights_digest, Preprocessing.of_profile("container"))
    shared = build_extractor(other, weights=None, engine="auto", precision="auto", cache_dir=graphs)
    assert other.digest != plain.digest
    assert shared._network is extractor._network
    assert shared.graph == extractor.graph
    assert shared.spec == other


def test_feature_map_is_what_the_poolings_pool(extractor, reference, scans):
    for engine, tolerance in ((extractor, 0.02), (reference, 1e-5)):
        found, features = engine.feature_map(scans), engine.extract(scans)
        assert (found.shape, found.dtype) == ((4, 7, 7, 1024), np.float32)
        np.testing.assert_allclose(found.mean(axis=(1, 2)), features.avg, atol=tolerance * features.avg.max())
        np.testing.assert_allclose(found.max(axis=(1, 2)), features.max, atol=tolerance * features.max.max())
    assert extractor.feature_map(scans[:0]).shape == (0, 7, 7, 1024)


def test_chunk_is_measured_once_and_kept(extractor, tmp_path):
    before = extractor.chunk.size
    try:
        first = measure_chunk(extractor, tmp_path, sizes=(1, 2))
        assert set(first.per_second) == {1, 2}
        assert extractor.chunk.size == first.size
        extractor.chunk.size = 5
        assert measure_chunk(extractor, tmp_path, sizes=(4,)) == first
        assert extractor.chunk.size == first.size
        (stored,) = tmp_path.glob("chunk-*.json")
        stored.write_text("{")
        assert set(measure_chunk(extractor, tmp_path, sizes=(1,)).per_second) == {1}
    finally:
        extractor.chunk.size = before


def test_extractor_without_chunk_is_left_alone(extractor):
    class Plain:
        spec, engine = extractor.spec, "fake"

    assert measure_chunk(Plain()) is None


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small network, so that compilers are quick: the folder of its weights, and its spec."""
    folder = tmp_path_factory.mktemp("weights")
    return folder, make_spec("small", SMALL, pack.pack(SMALL, "random:7", folder))


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).random((5, 150, 150), np.float32)


@pytest.fixture(scope="module")
def expected(small, batch):
    return run("tensorflow", "fp32", small).extract(batch)


def run(engine, precision, small):
    folder, spec = small
    return build_extractor(
        spec, weights=None, engine=engine, precision=precision, device="cpu", cache_dir=folder, weights_dir=folder
    )


class TestOtherEngines:
    """Every engine gives the reference's vectors."""

    @pytest.mark.parametrize(
        ("engine", "precision", "tolerance"),
        [("tensorflow-xla", "fp32", 1e-5), ("tensorflow", "bf16", 3e-2), ("tensorflow", "fp16", 5e-3)],
    )
    def test_tensorflow_agrees(self, engine, precision, tolerance, small, batch, expected):
        extractor = run(engine, precision, small)
        assert extractor.engine == f"{engine}/{precision}"
        found = extractor.extract(batch)
        assert found.avg.dtype == np.float32
        np.testing.assert_allclose(found.avg, expected.avg, atol=tolerance * expected.avg.max())
        np.testing.assert_allclose(found.max, expected.max, atol=tolerance * expected.max.max())

    def test_jax_agrees_in_a_process_of_its_own(self, small, batch, expected, tmp_path):
        pytest.importorskip("jax", reason="jax is not installed: install penumbra[jax]")
        folder, spec = small
        np.save(tmp_path / "batch.npy", batch)
        code = f"""
import json, pathlib, numpy as np
from app.features.engines import build_extractor
from app.features.spec import FeatureSetSpec
spec = FeatureSetSpec.from_dict(json.loads({json.dumps(spec.as_dict())!r}))
folder, here = pathlib.Path({str(folder)!r}), pathlib.Path({str(tmp_path)!r})
batch = np.load(here / "batch.npy")
for precision in ("fp32", "bf16"):
    extractor = build_extractor(spec, weights=None, engine="jax", precision=precision, device="cpu",
                                cache_dir=folder, weights_dir=folder)
    assert extractor.engine == f"jax/{{precision}}"
    found = extractor.extract(batch)
    np.savez(here / f"{{precision}}.npz", avg=found.avg, max=found.max, map=extractor.feature_map(batch))
"""
        finished = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(app.__file__).parents[1], capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr[-2000:]
        for precision, tolerance in (("fp32", 1e-5), ("bf16", 3e-2)):
            with np.load(tmp_path / f"{precision}.npz") as found:
                np.testing.assert_allclose(found["avg"], expected.avg, atol=tolerance * expected.avg.max())
                np.testing.assert_allclose(found["max"], expected.max, atol=tolerance * expected.max.max())
                np.testing.assert_allclose(found["map"].max((1, 2)), found["max"], rtol=1e-2, atol=1e-3)


class TestInt8:
    """A quantised graph: a file like other weights, for the openvino engine."""

    @pytest.fixture
    def stored(self, extractor, scans, tmp_path):
        """The fp32 graph stored as if it were quantised: what reads it does not know the difference."""
        xml, weights = extractor.graph.model.read_bytes(), extractor.graph.model.with_suffix(".bin").read_bytes()
        digest = graph_digest(xml, weights)
        spec = make_spec("small-int8", "densenet121-int8", digest)
        features = extractor.extract(scans)
        np.savez(
            tmp_path / f"{digest}.npz", avg=features.avg, max=features.max, pixels=scans[:, ::8, ::8],
            preprocessing_digest=spec.preprocessing.digest,
            **{"model.xml": np.frombuffer(xml, np.uint8), "model.bin": np.frombuffer(weights, np.uint8)},
        )  # fmt: skip
        return spec, tmp_path

    def test_it_runs_and_is_checked_by_its_own_vectors(self, stored, scans):
        from app.features.golden import check

        spec, folder = stored
        extractor = build_extractor(
            spec, weights=None, engine="auto", precision="auto", cache_dir=folder / "cache", weights_dir=folder
        )
        assert extractor.engine == "openvino/int8"
        assert check(extractor).pinned
        assert extractor.feature_map(scans[:1]).shape == (1, 7, 7, 1024)

    def test_file_of_another_graph_is_refused(self, stored):
        spec, folder = stored
        (folder / f"{spec.weights_digest}.npz").rename(folder / f"{'0' * 64}.npz")
        other = make_spec("small-int8", "densenet121-int8", "0" * 64)
        with pytest.raises(ConfigurationError, match="not the quantised graph"):
            build_extractor(
                other, weights=None, engine="auto", precision="auto", cache_dir=folder / "cache", weights_dir=folder
            )

    def test_it_is_not_quantised_again(self, stored):
        spec, folder = stored
        with pytest.raises(ConfigurationError, match="eight bits already"):
            quantise(spec, "again", weights_dir=folder, cache_dir=folder)

    def test_without_nncf_the_extra_is_named(self, tmp_path, graphs):
        if environment.installed("nncf"):
            pytest.skip("nncf is installed")
        with pytest.raises(ConfigurationError, match=r"penumbra\[int8\]"):
            quantise(resolve(XRAY).spec, "xray-int8", weights_dir=tmp_path, cache_dir=graphs)
