"""The training of a network, on one so small that it takes no time: where it starts, goes on, stops and refuses."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import Cancelled, HeadRefused, InvalidInput, NotTrainable
from app.features.finetuning.boundaries import BOUNDARIES, boundary
from app.features.finetuning.recipe import BackboneRecipe
from app.features.spec import FeatureSetSpec
from app.heads.arrays import Float32
from app.heads.scoring import Head
from app.imaging.preprocessing import Preprocessing

CLASSES = ("empty", "loaded")
SIDE = 32
SPEC = FeatureSetSpec("tiny", "small-cnn-150", "0" * 64, Preprocessing(height=SIDE, width=SIDE), SIDE, 256, 256)
HALF = BackboneRecipe(epochs=4, copies=2, batch=8, patience=9)


def body() -> Any:
    import keras

    from app.features.finetuning.small import small_cnn

    keras.utils.set_random_seed(0)
    return small_cnn(input_shape=(SIDE, SIDE, 3))


def pixels(row: int, codes: Sequence[int]) -> Float32:
    """Odd rows have a bright square; copies differ by noise."""
    made = []
    for code in codes:
        rng = np.random.default_rng([row, code])
        scan = rng.uniform(0, 0.3, (SIDE, SIDE)).astype(np.float32)
        x, y = rng.integers(0, SIDE - 10, 2)
        scan[y : y + 10, x : x + 10] += 0.2 * (row % 2)
        made.append(scan)
    return np.stack(made)


def scans(count: int = 48, **changes: Any) -> Any:
    from app.features.finetuning.training import LabelledScans

    rows = np.arange(count)
    return replace(LabelledScans(CLASSES, "loaded", rows % 2, rows // 2, rows >= 2 * count // 3, pixels), **changes)


def artifact(network: Any, of: Any, **recipe: Any) -> tuple[bytes, Float32]:
    """A head trained on vectors by `network`, and what it says of every row."""
    from app.features.finetuning.network import fed, runner
    from app.heads.recipe import HeadRecipe
    from app.heads.table import TrainingTable
    from app.heads.trainers import train

    maps = runner(fed(network, SPEC.preprocessing))(np.concatenate([pixels(i, (0,)) for i in range(len(of.y))]))
    avg, peak, learned = maps.mean((1, 2)), maps.max((1, 2)), ~of.held
    table = TrainingTable(
        task="t", classes=CLASSES, positive="loaded", feature_set=SPEC.digest, feature_set_name="tiny",
        avg=avg[learned], max=peak[learned], y=of.y[learned], groups=of.groups[learned],
    )  # fmt: skip
    head = train(table, HeadRecipe.from_json({"params": {"C": 1.0}, "folds": 2} | recipe))
    return head.artifact, Head.load(head.artifact).probabilities(avg, peak)


def run(network: Any, of: Any, recipe: BackboneRecipe, folder: Path, start: Any = None, **watch: Any) -> Any:
    from app.features.finetuning.loop import Watch
    from app.features.finetuning.training import train

    return train(network, SPEC, of, recipe, start=start, folder=folder, key="a", watch=Watch(**watch), threads=1)


def test_a_network_from_scratch_learns_and_ends_as_in_its_best_epoch(tmp_path: Path) -> None:
    seen: list[int] = []
    recipe = replace(HALF, scratch="small-cnn-150", epochs=8, rate=3e-3)
    trained = run(body(), scans(), recipe, tmp_path, on_epoch=lambda curve: seen.append(len(curve)))
    assert seen == list(range(1, len(trained.curve) + 1))
    best = min(trained.curve, key=lambda point: point["validation"]["loss"])
    assert trained.report["best_epoch"] == best["epoch"] > 0
    assert best["validation"]["auc"] >= 0.9 > trained.curve[0]["validation"]["auc"]
    assert {"loss", "auc", "balanced_accuracy"} == set(best["train"]) == set(best["validation"])
    assert not np.array_equal(trained.arrays["conv1/kernel"], body().get_layer("conv1").kernel.numpy())


@pytest.mark.parametrize("calibration", ["none", "platt", "temperature"])
def test_every_linear_head_is_reproduced_before_the_first_step(tmp_path: Path, calibration: str) -> None:
    from app.features.finetuning.training import Start

    network, of = body(), scans()
    content, said = artifact(network, of, calibration=calibration, prevalence=0.1)
    trained = run(network, of, replace(HALF, epochs=1), tmp_path, Start(content, said[of.held]))
    zero = trained.report["step_zero"]
    assert zero["largest_difference"] < 5e-3
    assert zero["decisions_changed"] == 0
    assert zero["accuracy"] == zero["stored_accuracy"]


def test_a_network_that_is_not_the_stored_vectors_is_refused_before_any_step(tmp_path: Path) -> None:
    from app.features.finetuning.training import Start

    network, of = body(), scans()
    content, said = artifact(network, of)
    network.get_layer("conv5").kernel.assign(-network.get_layer("conv5").kernel.value)
    with pytest.raises(HeadRefused, match="Before the first step"):
        run(network, of, HALF, tmp_path, Start(content, said[of.held]))


def test_a_head_that_is_not_linear_cannot_be_gone_on_from(tmp_path: Path) -> None:
    from app.features.finetuning.start import StoredHead

    content, _ = artifact(body(), scans(), algorithm="rbf-svm", params={"C": 1.0})
    with pytest.raises(NotTrainable, match="logistic regression"):
        StoredHead(content)


def test_an_interrupted_training_ends_like_one_that_was_not(tmp_path: Path) -> None:
    recipe = replace(HALF, scratch="small-cnn-150")
    whole = run(body(), scans(), recipe, tmp_path / "whole")
    calls: list[int] = []

    def interrupt() -> None:
        calls.append(1)
        if len(calls) == 12:  # two pieces of activations, then four batches an epoch: in the third epoch
            raise Cancelled("now")

    with pytest.raises(Cancelled):
        run(body(), scans(), recipe, tmp_path / "parts", checkpoint=interrupt)
    heard: list[int] = []
    rest = run(body(), scans(), recipe, tmp_path / "parts", on_epoch=lambda curve: heard.append(len(curve)))
    assert heard == [3, 4, 5]  # the start and two epochs were kept
    assert [point["epoch"] for point in rest.curve] == [0, 1, 2, 3, 4]
    for name, value in whole.arrays.items():
        np.testing.assert_allclose(rest.arrays[name], value, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"y": np.zeros(48, np.int64)}, "fewer than 4 scans of loaded to learn from"),
        ({"held": np.zeros(48, bool)}, "to validate on"),
        ({"groups": np.zeros(48)}, "are on both sides"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(NotTrainable, match=says):
        scans(**changes).check()


def test_too_few_scans_are_refused() -> None:
    with pytest.raises(NotTrainable, match="label 20 or more"):
        scans(24).check()


def test_every_architecture_of_the_table_can_be_cut() -> None:
    from app.features.backbones import BACKBONES

    assert set(BACKBONES) == set(BOUNDARIES)
    with pytest.raises(InvalidInput, match="give 1 to 3"):
        boundary("densenet121", 4)


def test_activations_that_would_fill_the_disk_are_refused(tmp_path: Path) -> None:
    from app.features.finetuning.cache import Activations

    with pytest.raises(NotTrainable, match="fewer copies"):
        Activations(tmp_path, [range(50)] * 10_000, (28, 28, 512))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"rate": 2.0}, {"copies": 50}, {"augmentation": "wild"}, {"validation": 0.9}, {"odd": 1}]
)
def test_a_recipe_is_checked_before_it_is_queued(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        BackboneRecipe.from_json(wrong)
