"""A trained network becomes the one that ships: in half precision, small enough, proven, pinned."""

import json
import subprocess
import sys

import numpy as np
import pytest

import app.features.bundle as bundling
from app.errors import ConfigurationError, InvalidInput
from app.features import agreement, backbone, expected, pin
from app.features.golden import GoldenVectors
from app.features.weights import CURRENT, Network, read_arrays, weights_digest
from app.features.weights.known import sets_of
from app.features.weights.resolution import BUNDLE

NEW = Network("v9", "penumbra_densenet121_v9.npz", "", bf16_agrees=False)
NEW_SPEC = next(sets_of(CURRENT, current=True)).spec


@pytest.fixture(scope="module")
def trained():
    """Weights of a training: those that ship, scaled in their last layer, in single precision."""
    arrays = read_arrays(BUNDLE / CURRENT.file)
    return arrays | {"bn/gamma": arrays["bn/gamma"] * np.float32(1.0123)}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder that stands for those of weights and of golden vectors."""
    monkeypatch.setattr(bundling, "BUNDLE", tmp_path)
    monkeypatch.setattr(pin, "PINNED", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_trained_network_is_written_in_half_precision_proven_and_pinned(trained, elsewhere):
    source = elsewhere / "trained.npz"
    np.savez(source, **trained)
    made = bundling.bundle(source, NEW)
    path = elsewhere / NEW.file
    assert path.stat().st_size <= 15_000_000
    with np.load(path) as stored:
        assert {array.dtype for array in stored.values()} == {np.dtype(np.float16)}
    assert weights_digest(read_arrays(path)) == made.weights_digest
    body = backbone.new_body("densenet121", (224, 224))
    backbone.set_weights(body, read_arrays(path))
    assert expected.find_expected(path) == path.with_suffix(".expected.json")
    expected.prove(path.with_suffix(".expected.json"), backbone.pooled(body))
    stated = json.loads((BUNDLE / CURRENT.file).with_suffix(".expected.json").read_text())
    assert json.loads(path.with_suffix(".expected.json").read_text()).keys() == stated.keys()
    for kind in ("xray", "container", "chest"):
        assert GoldenVectors.read(elsewhere / f"densenet121-{kind}-v9.npz").weights_digest == made.weights_digest


def test_what_half_precision_cannot_hold_is_refused(trained):
    assert all(array.dtype == np.float32 for array in bundling.halved(trained).values())
    with pytest.raises(ConfigurationError, match="bn/beta"):
        bundling.halved(trained | {"bn/beta": np.full(1024, 1e6, np.float32)})


def test_a_file_that_is_too_large_is_refused_and_not_left_behind(trained, elsewhere, monkeypatch):
    monkeypatch.setattr(bundling, "MOST_BYTES", 1_000)
    with pytest.raises(ConfigurationError, match="1,000 are the most"):
        bundling.write({"bn/beta": trained["bn/beta"]}, elsewhere / NEW.file)
    assert list(elsewhere.iterdir()) == []


def test_the_same_weights_give_the_same_bytes(trained, elsewhere):
    some = {name: trained[name] for name in ("bn/beta", "bn/gamma")}
    for name in ("a.npz", "b.npz"):
        bundling.write(dict(reversed(some.items())) if name == "a.npz" else some, elsewhere / name)
    assert (elsewhere / "a.npz").read_bytes() == (elsewhere / "b.npz").read_bytes()


def test_weights_that_ship_already_are_refused():
    with pytest.raises(ConfigurationError, match=f"the weights of {CURRENT.version}"):
        bundling.bundle(BUNDLE / CURRENT.file, NEW)


def test_scans_are_chosen_evenly_and_what_is_none_is_passed_over(tmp_path):
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text("no scan")
    assert [path.stem for path in agreement.chosen([tmp_path], 5)] == ["0", "2", "4", "6", "8"]
    assert len(agreement.chosen([tmp_path], 200)) == 10
    with pytest.raises(InvalidInput, match="holds a scan"):
        agreement.measure(NEW_SPEC, BUNDLE / CURRENT.file, agreement.chosen([tmp_path], 5))


def test_bounds_are_those_of_the_golden_check():
    assert agreement.Agreement(228, 0.9997, 0.9997).enough
    assert not agreement.Agreement(228, 0.9989, 0.9999).enough
    assert not agreement.Agreement(228, 0.9999, 0.9979).enough


def test_the_command_ends_with_the_reason(tmp_path):
    command = [sys.executable, "-m", "app.features.bundle", str(tmp_path / "none.npz"), "--version", "v9"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "none.npz cannot be read" in ended.stderr.splitlines()[-1]
