import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from app.errors import InvalidInput
from app.simulator import SCANNERS, Case, Family, Kind, PixelBox, Scan, port_day, simulate, simulate_emptied
from app.simulator.cargo.families import PACKERS
from app.simulator.detector import clean_exposure, detect
from app.simulator.iso6346 import check_digit
from app.simulator.order import FAMILY_SHARES, Order
from app.simulator.scene import PAYLOAD_KG, Scene, build, swayed
from app.simulator.thickness import Thickness


@pytest.fixture(scope="module")
def day() -> list[Scan]:
    return list(port_day(50, seed=11))


def window(box: PixelBox) -> tuple[slice, slice]:
    return slice(box.y, box.y + box.h), slice(box.x, box.x + box.w)


def inside(box: PixelBox, height: int, width: int) -> bool:
    return 0 <= box.x < box.x + box.w <= width and 0 <= box.y < box.y + box.h <= height


def ordinary(family: Family) -> Order:
    return Order(SCANNERS["port"], Case.ORDINARY, True, family, None)


def grey(scene: Scene, thickness: Thickness) -> np.ndarray:
    passed = swayed(thickness.passed(((3.0, 1.0),)), scene.sway_px)
    return detect(np.random.default_rng(0), passed, clean_exposure())


def test_the_same_seed_gives_the_same_bytes_and_truth() -> None:
    first, second = (simulate(np.random.default_rng(5)) for _ in range(2))
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.truth == second.truth


def test_consecutive_draws_differ() -> None:
    rng = np.random.default_rng(5)
    first, second = (simulate(rng, loaded=True) for _ in range(2))
    assert first.truth.container_number != second.truth.container_number
    assert first.pixels.shape != second.pixels.shape or (first.pixels != second.pixels).any()


def test_a_scan_of_a_day_depends_on_its_index_alone(day: list[Scan]) -> None:
    resumed = next(port_day(8, seed=11, start=7))
    assert resumed.pixels.tobytes() == day[7].pixels.tobytes()
    assert resumed.truth == day[7].truth


def test_days_of_other_seeds_differ(day: list[Scan]) -> None:
    numbers = {scan.truth.container_number for scan in islice(port_day(5, seed=12), 5)}
    assert not numbers & {scan.truth.container_number for scan in day}


def test_boxes_lie_inside_the_image(day: list[Scan]) -> None:
    for scan in day:
        boxes = (scan.truth.container_box, *scan.truth.boxes)
        assert all(inside(box, *scan.pixels.shape[:2]) for box in boxes), scan.truth


def test_empty_containers_have_no_cargo_and_loaded_ones_have(day: list[Scan]) -> None:
    for truth in (scan.truth for scan in day):
        loaded = truth.class_name == "loaded"
        assert bool(truth.boxes) == (truth.family is not None) == loaded
        assert (truth.cargo_mass_kg > 0) == (truth.cargo_optical_depth > 0) == loaded


@pytest.mark.parametrize("family", list(Family))
def test_cargo_darkens_its_boxes_and_nothing_else(family: Family) -> None:
    scene = build(np.random.default_rng(3), ordinary(family))
    without, with_cargo = grey(scene, scene.structure), grey(scene, scene.whole)
    assert (with_cargo <= without).all()
    darker = without.astype(int) - with_cargo
    outside = np.ones_like(darker, bool)
    for box in scene.cargo.boxes:
        outside[window(box)] = False
        # Behind a bolster even dense cargo changes nothing, so a box counts as a whole.
        assert scene.cargo.depth[window(box)].max() > 0
    assert darker[~outside].mean() > 4 * max(darker[outside].mean(), 0.05)
    assert darker[outside].max(initial=0) <= 1


def test_cargo_stays_inside_the_container() -> None:
    for seed, family in enumerate(Family):
        scene = build(np.random.default_rng(seed), ordinary(family))
        _, columns = window(scene.container_box)
        assert scene.cargo.depth[:, : columns.start].max(initial=0) == 0
        assert scene.cargo.depth[:, columns.stop :].max(initial=0) == 0


def test_no_container_carries_more_than_its_payload(day: list[Scan]) -> None:
    heaviest = max(scan.truth.cargo_mass_kg for scan in day)
    assert 15_000 < heaviest < PAYLOAD_KG * 1.01


def test_the_background_is_light(day: list[Scan]) -> None:
    corners = [np.median(scan.pixels[:4]) for scan in day if scan.truth.scanner == "port"]
    assert np.median(corners) > 235


def test_every_family_has_a_packer_and_a_share() -> None:
    assert set(PACKERS) == set(FAMILY_SHARES) == set(Family)
    assert sum(FAMILY_SHARES.values()) == pytest.approx(1)


def test_kinds_and_families_vary(day: list[Scan]) -> None:
    assert {scan.truth.kind for scan in day} == set(Kind)
    assert len({scan.truth.family for scan in day}) >= 8


@pytest.mark.parametrize(("share", "low", "high"), [(0, 0, 0), (0.25, 3, 15), (1, 32, 32)])
def test_the_class_share_is_kept(share: float, low: int, high: int) -> None:
    classes = Counter(scan.truth.class_name for scan in port_day(32, seed=4, loaded_share=share))
    assert low <= classes["loaded"] <= high


def test_the_class_can_be_fixed() -> None:
    rng = np.random.default_rng(0)
    assert {simulate(rng, loaded=False).truth.class_name for _ in range(5)} == {"empty"}
    assert {simulate(rng, loaded=True).truth.class_name for _ in range(5)} == {"loaded"}


@pytest.mark.parametrize(
    ("first_ten", "digit"), [("CSQU305438", 3), ("MSKU665540", 1), ("TEXU307007", 9), ("HLXU200841", 9)]
)
def test_check_digits_of_known_containers(first_ten: str, digit: int) -> None:
    assert check_digit(first_ten) == digit


def test_container_numbers_are_valid_and_distinct(day: list[Scan]) -> None:
    numbers = [scan.truth.container_number for scan in day]
    assert all(len(number) == 11 and int(number[10]) == check_digit(number[:10]) for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_truth_survives_json(day: list[Scan]) -> None:
    truth = next(scan.truth for scan in day if scan.truth.boxes)
    assert json.loads(json.dumps(truth.as_dict())) == truth.as_dict()
    assert truth.as_dict()["boxes"][0] == list(truth.boxes[0])


@pytest.mark.parametrize("wrong", [{"count": -1}, {"seed": -1}, {"start": -1}, {"loaded_share": 1.5}])
def test_impossible_days_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        port_day(**({"count": 1, "seed": 1} | wrong))


def test_a_scan_without_its_cargo_differs_where_the_cargo_was() -> None:
    for seed in range(4):
        scan, emptied = simulate_emptied(np.random.default_rng(seed), scanner="port")
        again = simulate(np.random.default_rng(seed), loaded=True, scanner="port")
        assert scan.pixels.tobytes() == again.pixels.tobytes()
        changed = scan.pixels.astype(int) != emptied
        within = np.zeros_like(changed)
        for x, y, w, h in scan.truth.boxes:
            within[max(0, y - 5) : y + h + 5, max(0, x - 5) : x + w + 5] = True  # blur reaches four pixels
        assert changed[within].any()
        assert not changed[~within].any()
