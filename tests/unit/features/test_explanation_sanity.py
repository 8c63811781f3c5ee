"""The bundled network and the bundled head: what is hottest matters, and evidence adds up on real maps."""

from pathlib import Path

import numpy as np
import pytest

from app.features.spec import Extractor
from app.heads import starters
from app.heads.arrays import FeatureRows
from app.heads.explanation import Method, Shares, hottest_window
from app.heads.explanation_graph import ExplainedHead
from benchmarks.explanations import Probe, probe

SCANS = 6


@pytest.fixture(scope="module")
def head() -> ExplainedHead:
    return ExplainedHead((Path(starters.__file__).parent / "empty-container.onnx").read_bytes())


@pytest.fixture(scope="module")
def probes(extractor: Extractor) -> list[Probe]:
    """Loaded scans, and each with one window after the other emptied in the image."""
    return [probe(np.random.default_rng([4, number]), extractor) for number in range(SCANS)]


def test_evidence_adds_up_on_the_maps_of_the_real_network(head: ExplainedHead, probes: list[Probe]) -> None:
    """To the head's answer before its calibration; the starter's is a temperature, which divides every answer alike."""
    margins, answers = list[float](), list[float]()
    for one in probes:
        found = head.explain(one.map)
        assert found.method is Method.CAM, found.notes
        assert found.bias is not None
        said = found.log_odds
        assert found.heat.sum(dtype=np.float64) + found.bias == pytest.approx(said, abs=1e-4 * max(1, abs(said)))
        margins.append(said)
        answers.append(head.log_odds(Shares.of(one.map).pooled)[0])
    assert answers == pytest.approx(np.multiply(margins, answers[0] / margins[0]), rel=1e-3)


def test_a_map_pools_to_the_vectors_that_are_stored(extractor: Extractor, scans: np.ndarray) -> None:
    maps, features = extractor.feature_map(scans), extractor.extract(scans)
    for pooled, stored in ((maps.mean(axis=(1, 2)), features.avg), (maps.max(axis=(1, 2)), features.max)):
        lengths = np.linalg.norm(pooled, axis=1) * np.linalg.norm(stored, axis=1)
        assert (np.einsum("nd,nd->n", pooled, stored) / lengths).min() > 0.999


def test_emptying_the_hottest_region_moves_the_answer_towards_empty_more_than_another(
    head: ExplainedHead, probes: list[Probe]
) -> None:
    """Against the mean of all other regions of the same size, which is what a random one does on average."""
    more = lower = 0
    for one in probes:
        fall = head.log_odds(Shares.of(one.map).pooled) - head.log_odds(FeatureRows(one.masked.avg, one.masked.max))
        row, column, _, _ = hottest_window(head.explain(one.map).heat)
        hottest = row * (one.map.shape[1] - 2) + column
        lower += fall[hottest] > 0
        more += fall[hottest] > np.delete(fall, hottest).mean()
    assert lower > SCANS / 2
    assert more > SCANS / 2


def test_the_hottest_cells_lie_on_cargo(head: ExplainedHead, probes: list[Probe]) -> None:
    hit = np.mean([one.cargo[head.explain(one.map).hottest] for one in probes])
    assert hit > np.mean([one.cargo.mean() for one in probes])
