"""Engines of one feature set agree, and none is replaced by another silently."""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import app
from app.errors import ConfigurationError, InvalidInput
from app.features.engines import build, build_extractor, cache, processor
from app.features.engines.batches import CHUNK
from app.features.spec import Extractor
from app.features.weights import resolve
from app.imaging import Limits, load

XRAY = "densenet121-xray"
MIN_COSINE = {"avg": 0.999, "max": 0.998}


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return np.einsum("ij,ij->i", found, expected) / lengths


def assert_agrees(found, expected, *, avg: float, peak: float) -> None:
    assert cosines(found.avg, expected.avg).min() >= avg
    assert cosines(found.max, expected.max).min() >= peak


def test_features_have_the_stated_form(extractor, scans):
    features = extractor.extract(scans)
    assert features.avg.shape == (4, extractor.spec.avg_dim)
    assert features.max.shape == (4, extractor.spec.max_dim)
    assert features.avg.dtype == features.max.dtype == np.float32
    assert (features.max >= features.avg - 1e-6).all()
    assert (features.avg >= 0).all()


def test_default_engine_agrees_with_the_reference(extractor, reference, scans):
    assert_agrees(extractor.extract(scans), reference.extract(scans), avg=MIN_COSINE["avg"], peak=MIN_COSINE["max"])


def test_fp32_engine_equals_the_reference(fp32, reference, scans):
    found, expected = fp32.extract(scans), reference.extract(scans)
    assert_agrees(found, expected, avg=0.999999, peak=0.999999)
    np.testing.assert_allclose(found.avg, expected.avg, rtol=1e-3, atol=1e-4)


def test_engines_name_themselves(extractor, fp32, reference):
    assert extractor.engine == ("openvino/bf16" if processor.has_bf16() else "openvino/fp32")
    assert fp32.engine == "openvino/fp32"
    assert reference.engine == "tensorflow/fp32"
    assert extractor.spec == reference.spec


def test_order_is_kept_over_chunks(fp32, scans):
    many = np.concatenate([scans] * (CHUNK // 4 + 1))[: CHUNK + 3]
    found, alone = fp32.extract(many), fp32.extract(scans)
    assert found.avg.shape == (CHUNK + 3, 1024)
    for row in (0, 1, 5, CHUNK - 1, CHUNK, CHUNK + 2):
        np.testing.assert_allclose(found.avg[row], alone.avg[row % 4], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.max[row], alone.max[row % 4], rtol=1e-3, atol=1e-3)


def test_results_are_not_overwritten_by_the_next_pass(extractor, scans):
    first = extractor.extract(scans[:1])
    kept = first.avg.copy()
    extractor.extract(scans[1:2])
    np.testing.assert_array_equal(first.avg, kept)


def test_no_images_give_no_rows(extractor):
    features = extractor.extract(np.empty((0, 224, 224), np.float32))
    assert features.avg.shape == (0, 1024)
    assert features.max.shape == (0, 1024)


@pytest.mark.parametrize(
    "batch", [np.zeros((1, 224, 224)), np.zeros((224, 224), np.float32), np.zeros((1, 225, 224), np.float32)]
)
def test_batch_of_another_form_is_refused(batch, extractor):
    with pytest.raises(InvalidInput, match="float32"):
        extractor.extract(batch)


def test_threads_do_not_mix_results(extractor, scans):
    expected = [extractor.extract(scans[row : row + 1]).avg for row in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for row, found in zip(
            [0, 1, 2, 3] * 4,
            pool.map(lambda row: extractor.extract(scans[row : row + 1]).avg, [0, 1, 2, 3] * 4),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected[row])


def test_requested_bf16_without_the_processor_is_an_error(graphs, monkeypatch):
    monkeypatch.setattr("app.features.engines.openvino.has_bf16", lambda: False)
    with pytest.raises(ConfigurationError, match="bf16"):
        build_extractor(XRAY, weights=None, engine="openvino", precision="bf16", cache_dir=graphs)


def test_auto_without_bf16_is_fp32(extractor, graphs, monkeypatch):
    monkeypatch.setattr("app.features.engines.openvino.has_bf16", lambda: False)
    found = build_extractor(XRAY, weights=None, engine="auto", precision="auto", cache_dir=graphs)
    assert found.engine == "openvino/fp32"


def test_processor_flags_are_read(tmp_path):
    for flags, able in (("fpu avx512_bf16", True), ("fpu amx_bf16", True), ("fpu avx2 avx512f", False)):
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
        assert processor.has_bf16(tmp_path / "cpuinfo") is able
    assert not processor.has_bf16(tmp_path / "absent")


@pytest.mark.parametrize(
    ("engine", "precision", "reason"),
    [("onnx", "auto", "unknown"), ("openvino", "int8", "feature set of its own"), ("openvino", "fp16", "no fp16")],
)
def test_what_is_not_offered_is_an_error(engine, precision, reason, graphs):
    with pytest.raises(ConfigurationError, match=reason):
        build_extractor(XRAY, weights=None, engine=engine, precision=precision, cache_dir=graphs)


def test_requested_engine_that_is_not_installed_is_an_error(graphs, monkeypatch):
    monkeypatch.setattr(build, "installed", lambda package: package != "openvino")
    with pytest.raises(ConfigurationError, match="not installed"):
        build_extractor(XRAY, weights=None, engine="openvino", precision="auto", cache_dir=graphs)
    monkeypatch.setattr(build, "installed", lambda package: False)
    with pytest.raises(ConfigurationError, match=r"penumbra\[worker\]"):
        build_extractor(XRAY, weights=None, engine="auto", precision="auto", cache_dir=graphs)


def test_worker_process_never_loads_tensorflow(extractor, graphs):
    code = (
        "import sys, pathlib; from app.features.engines import build_extractor; "
        f"build_extractor('{XRAY}', weights=None, engine='auto', precision='auto', "
        f"cache_dir=pathlib.Path({str(graphs)!r})); print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(app.__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert finished.stdout.split() == ["False", "False"]


class TestConversion:
    """`_convert` starts a subprocess of fifteen seconds: here it copies a graph made before."""

    @pytest.fixture
    def quick(self, extractor, graphs, monkeypatch):
        made, calls = extractor.graph.folder, []
        assert extractor.reference  # it is written beside the graph when first asked for

        def convert(resolved, folder):
            calls.append(folder)
            time.sleep(0.05)
            shutil.copytree(made, folder, dirs_exist_ok=True)

        monkeypatch.setattr(cache, "_convert", convert)
        return calls

    def test_second_start_converts_nothing(self, quick, tmp_path):
        for _ in range(2):
            cache.converted(resolve(XRAY), tmp_path, "1")
        assert len(quick) == 1
        assert not list(tmp_path.glob("*.tmp"))

    def test_another_engine_version_converts_anew(self, quick, tmp_path):
        assert cache.converted(resolve(XRAY), tmp_path, "1") != cache.converted(resolve(XRAY), tmp_path, "2")

    def test_racing_starts_share_one_whole_graph(self, quick, tmp_path):
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            graphs = list(pool.map(lambda _: cache.converted(resolve(XRAY), tmp_path, "1"), range(3)))
        assert len(set(graphs)) == 1
        assert graphs[0].model.is_file()
        assert [path.name for path in tmp_path.iterdir()] == [graphs[0].folder.name]

    def test_killed_conversion_is_never_read(self, quick, tmp_path, monkeypatch):
        def killed(resolved, folder):
            (folder / cache.MODEL_FILE).write_text("<half")
            raise KeyboardInterrupt

        whole = cache._convert
        monkeypatch.setattr(cache, "_convert", killed)
        with pytest.raises(KeyboardInterrupt):
            cache.converted(resolve(XRAY), tmp_path, "1")
        assert not list(tmp_path.iterdir())
        monkeypatch.setattr(cache, "_convert", whole)
        assert cache.converted(resolve(XRAY), tmp_path, "1").reference_file(resolve(XRAY).spec).is_file()

    def test_what_a_killed_process_left_is_removed_once_it_is_old(self, quick, tmp_path):
        for name, age in (("openvino-old.tmp", 10_000), ("openvino-new.tmp", 0)):
            (tmp_path / name).mkdir()
            os.utime(tmp_path / name, (time.time() - age,) * 2)
        cache.converted(resolve(XRAY), tmp_path, "1")
        assert {path.name for path in tmp_path.glob("*.tmp")} == {"openvino-new.tmp"}

    def test_folder_that_cannot_be_written_names_the_setting(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(ConfigurationError, match="PENUMBRA_DATA_DIR"):
            cache.converted(resolve(XRAY), tmp_path / "file" / "cache", "1")

    def test_damaged_graph_names_the_folder_to_delete(self, quick, tmp_path):
        import openvino

        graph = cache.converted(resolve(XRAY), tmp_path, openvino.__version__)
        graph.model.write_text("<broken")
        with pytest.raises(ConfigurationError, match="delete"):
            build_extractor(XRAY, weights=None, engine="openvino", precision="fp32", cache_dir=tmp_path)


def test_conversion_that_fails_says_why(tmp_path, monkeypatch):
    resolved = resolve(XRAY)
    elsewhere = type(resolved)(resolved.spec, tmp_path / "gone.npz")
    with pytest.raises(ConfigurationError, match=r"gone\.npz cannot be read"):
        cache.converted(elsewhere, tmp_path / "graphs", "1")
    assert not list((tmp_path / "graphs").iterdir())


@pytest.mark.corpus
def test_default_engine_agrees_with_the_reference_on_real_scans(extractor, reference, corpus):
    paths = [*sorted(corpus.glob("chest/train/*/*"))[::218], *sorted(corpus.glob("container/*/*"))]
    limits = Limits(10**8, 10**8, 1)
    scans = np.stack([load(path, limits, extractor.spec.preprocessing) for path in paths])
    assert len(scans) >= 40
    assert_agrees(extractor.extract(scans), reference.extract(scans), avg=MIN_COSINE["avg"], peak=MIN_COSINE["max"])


def test_extractors_are_what_the_protocol_says(extractor, reference):
    def typed(_: Extractor) -> None: ...

    typed(extractor)
    typed(reference)
