"""Fine-tuning the bundled network on simulated scans: where it starts, and the trap that it keeps out of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.features.finetuning.boundaries import boundary
from app.features.weights import resolve
from app.heads.arrays import Float32
from app.heads.scoring import Head
from app.imaging.prepare import copies
from app.simulator import simulate

CLASSES = ("empty", "loaded")
LEARNED, HELD = 24, 12
SPEC = resolve("densenet121-xray").spec


@dataclass(frozen=True)
class Ground:
    """Simulated scans, the bundled network cut in two, vectors by it, and a head trained on those."""

    planes: list[Float32]
    y: Any
    avg: Float32
    max: Float32
    artifact: bytes
    body: Any
    tail: Any
    trunk: Callable[[Float32], Float32]

    @property
    def held(self) -> Any:
        return np.arange(len(self.y)) >= LEARNED

    def pixels(self, row: int, codes: Sequence[int]) -> Float32:
        return copies(self.planes[row], SPEC.preprocessing, sha256=row.to_bytes(32), codes=codes, ordinal=0)

    def said(self) -> Float32:
        """The stored head on every scan's stored vectors."""
        return Head.load(self.artifact).probabilities(self.avg, self.max)

    def learner(self, *, batch_statistics: bool = False) -> Any:
        from app.features.finetuning.network import Learner
        from app.features.finetuning.start import StoredHead

        head = StoredHead(self.artifact)
        return Learner(self.tail, head, weight_decay=1e-4, batch_statistics=batch_statistics)


@pytest.fixture(scope="module")
def ground() -> Ground:
    from app.features import backbone
    from app.features.finetuning.network import cut, fed, runner
    from app.heads.recipe import HeadRecipe
    from app.heads.table import TrainingTable
    from app.heads.trainers import train

    y = np.arange(LEARNED + HELD, dtype=np.int64) % 2
    scans = [simulate(np.random.default_rng(row), loaded=bool(label), scanner="port") for row, label in enumerate(y)]
    planes = [np.asarray(scan.pixels, np.float32) / 255 for scan in scans]
    # v1 has learned on batches of such scans, and shows the trap less.
    body = backbone.load_body(resolve("densenet121-xray-v0"))
    trunk, tail = cut(body, boundary("densenet121", 1))
    x = np.concatenate([copies(p, SPEC.preprocessing, sha256=b"", codes=(0,), ordinal=0) for p in planes])
    run = runner(fed(trunk, SPEC.preprocessing))
    feature_map = runner(tail)(run(x))
    avg, peak = feature_map.mean((1, 2)), feature_map.max((1, 2))
    table = TrainingTable(
        task="empty-container", classes=CLASSES, positive="loaded", feature_set=SPEC.digest,
        feature_set_name=SPEC.name, avg=avg[:LEARNED], max=peak[:LEARNED], y=y[:LEARNED],
    )  # fmt: skip
    head = train(table, HeadRecipe.from_json({"params": {"C": 0.01}, "folds": 2, "calibration": "platt"}))
    return Ground(planes, y, avg, peak, head.artifact, body, tail, run)


@pytest.fixture
def untouched(ground: Ground) -> Any:
    """The network as it was, before and after the test."""
    before = [np.array(variable.numpy()) for variable in ground.body.variables]
    yield before
    for variable, value in zip(ground.body.variables, before, strict=True):
        variable.assign(value)


def accuracy(said: Float32, y: Any, threshold: float) -> float:
    return float(((said[:, 1] >= threshold) == y).mean())


def test_step_zero_is_the_stored_head(ground: Ground, tmp_path: Path) -> None:
    """By way of the kept half-precision activations, as a training goes."""
    from app.features.finetuning.cache import Activations
    from app.features.finetuning.loop import answers, log_softmax

    rows = np.arange(len(ground.y))
    cached = Activations(tmp_path, [(0,)] * len(rows), (7, 7, 512))
    cached.fill(ground.pixels, ground.trunk, threads=1, on_progress=lambda *_: None, checkpoint=lambda: None)
    own = np.exp(log_softmax(answers(ground.learner(), cached, rows)))
    threshold = Head.load(ground.artifact).metadata.threshold
    np.testing.assert_allclose(own, ground.said(), atol=1e-4)
    assert accuracy(own, ground.y, threshold) == accuracy(ground.said(), ground.y, threshold) >= 0.9


def test_batch_statistics_lose_the_loaded_weights_at_the_first_step(ground: Ground, untouched: Any) -> None:
    """The trap: the same weights, head and scans, and another mode of batch normalisation. In inference mode nothing is
    lost, the kernels, scales and shifts of the last block learn, and no moving statistic moves."""
    from app.features.finetuning.loop import log_softmax

    x = np.concatenate([ground.trunk(ground.pixels(row, (0,))) for row in range(len(ground.y))])
    threshold = Head.load(ground.artifact).metadata.threshold
    stored = accuracy(ground.said(), ground.y, threshold)
    trapped = np.exp(log_softmax(np.asarray(ground.learner(batch_statistics=True)._forward(x, training=True))))
    assert accuracy(trapped, ground.y, threshold) <= stored - 0.25
    moved = [v for v in ground.tail.variables if "moving" in v.path]
    assert len(moved) == 2 * 33  # 16 layers of two, and the last
    for variable, value in zip(ground.body.variables, untouched, strict=True):
        variable.assign(value)
    learner = ground.learner()
    logits, _ = learner.step(x, ground.y, np.ones(len(x), np.float32), 1e-5)
    assert accuracy(np.exp(log_softmax(logits)), ground.y, threshold) == stored
    assert accuracy(np.exp(log_softmax(learner.log_odds(x))), ground.y, threshold) >= stored - 0.05
    assert changed(ground.body, untouched) == {
        variable.path for variable in ground.tail.variables if "moving" not in variable.path
    }


def changed(body: Any, before: Any) -> set[str]:
    return {v.path for v, old in zip(body.variables, before, strict=True) if not np.array_equal(v.numpy(), old)}
