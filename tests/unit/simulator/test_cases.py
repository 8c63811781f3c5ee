"""The hard cases, and hidden loads of a stated mass."""

from collections import Counter

import numpy as np
import pytest

from app.errors import InvalidInput
from app.simulator import Case, Family, Kind, Place, Scan, case_of, port_day, simulate, simulate_pair
from app.simulator.bodies import add
from app.simulator.cargo.hidden import hidden_load
from app.simulator.cargo.hold import hold_of
from app.simulator.matter import Matter
from app.simulator.order import FAMILY_SHARES, HARD_SHARE, Order, draw_order, hard_cases
from app.simulator.scanners import SCANNERS
from app.simulator.scene import Scene, build
from app.simulator.thickness import Thickness

RNG = np.random.default_rng
HARD = [case for case in Case if case is not Case.ORDINARY]


def scene_of(case: Case, seed: int, mass_kg: float | None = None) -> Scene:
    return build(RNG(seed), Order(SCANNERS["port"], case, bool(case.loaded), None, mass_kg))


@pytest.mark.parametrize("case", HARD)
def test_every_hard_case_has_its_class_and_says_what_it_is(case: Case) -> None:
    for seed in range(3):
        truth = simulate(RNG(seed), case=case).truth
        assert truth.case is case
        assert truth.class_name == ("loaded" if case.loaded else "empty")
        assert bool(truth.boxes) == (truth.cargo_mass_kg > 0) == case.loaded


def test_the_hard_cases_are_a_share_of_what_is_drawn() -> None:
    rng = RNG(0)
    drawn = Counter(draw_order(rng, loaded=None, scanner=None, case=None, mass_kg=None).case for _ in range(2000))
    assert set(drawn) == set(Case)
    assert 1 - drawn[Case.ORDINARY] / 2000 == pytest.approx(HARD_SHARE, abs=0.03)


def test_hard_cases_fall_into_two_classes() -> None:
    assert {*hard_cases(True), *hard_cases(False)} == set(HARD)
    assert Case.DIRT in hard_cases(False)
    assert Case.FOAM in hard_cases(True)


@pytest.mark.parametrize("family", list(Family))
def test_every_family_is_drawn(family: Family) -> None:
    assert FAMILY_SHARES[family] >= 0.03


def test_cargo_on_the_floor_only_stays_low() -> None:
    for seed in range(4):
        scene = scene_of(Case.FLOOR_ONLY, seed)
        top = min(box.y for box in scene.cargo.boxes)
        assert top > scene.container_box.y + 0.6 * scene.container_box.h


def test_cargo_by_the_doors_is_near_them() -> None:
    for seed in range(4):
        scene = scene_of(Case.BY_DOOR, seed)
        frame, beam = scene.frame, scene.beam
        for box in scene.cargo.boxes:
            ends = (frame.at(beam.x_left_m + x * beam.x_pitch_m) for x in (box.x, box.x + box.w))
            assert min(ends) < 6


def test_foam_is_nearly_transparent() -> None:
    for seed in range(4):
        assert scene_of(Case.FOAM, seed).cargo.depth.max() < 0.6


def test_one_pallet_is_one_item() -> None:
    assert {len(scene_of(Case.ONE_PALLET, seed).cargo.boxes) for seed in range(4)} == {1}


def test_dark_empties_are_darker_than_ordinary_ones() -> None:
    def grey(case: Case) -> float:
        return float(
            np.median([np.median(simulate(RNG(s), scanner="port", case=case, loaded=False).pixels) for s in range(4)])
        )

    assert grey(Case.DARK_EMPTY) < 0.8 * grey(Case.ORDINARY)


@pytest.mark.parametrize("case", [Case.DIRT, Case.TRAILER])
def test_clutter_darkens_an_empty_container(case: Case) -> None:
    """The same stream draws the container before its clutter, so what is added can be told."""
    for seed in range(4):
        plain, cluttered = (scene_of(one, seed).structure.depth() for one in (Case.ORDINARY, case))
        assert (cluttered >= plain - 1e-4).mean() > 0.99
        assert cluttered.sum() > plain.sum() + (1 if case is Case.DIRT else 20)


@pytest.mark.parametrize("mass_kg", [1.0, 7.5, 60.0, 500.0])
def test_a_hidden_load_has_the_stated_mass_in_view(mass_kg: float) -> None:
    for seed in range(5):
        scan = simulate(RNG(seed), case=Case.HIDDEN_LOAD, mass_kg=mass_kg)
        assert scan.truth.cargo_mass_kg == pytest.approx(mass_kg, rel=0.02)
        assert len(scan.truth.boxes) == 1
        assert scan.truth.place in Place
        assert scan.truth.matter in ("organic", "iron", "lead")


def test_the_mass_is_there_in_the_rays() -> None:
    """Mass thickness times the area of a pixel where the load lies, summed up, is the mass: by another way.

    Of organic loads, for the outermost columns of dense ones average intensities and not thicknesses.
    """
    checked = 0
    for seed in range(12):
        scene = scene_of(Case.HIDDEN_LOAD, seed, mass_kg=60.0)
        beam = scene.beam
        load = hidden_load(RNG(seed), hold_of(beam, scene.frame), scene.frame, 60.0)
        if load.matter is not Matter.ORGANIC:
            continue
        thickness = Thickness((beam.height, beam.width))
        for part in load.item:
            add(thickness, beam, part)
        thickness.settle()
        along_depth = thickness.of(load.matter) / beam.rays(0, beam.height).secant[:, None]
        middle = (load.item[0].body.near + load.item[0].body.far) / 2
        area_m2 = beam.x_pitch_m * beam.z_pitch_m * middle / beam.near_m
        assert 10 * float(along_depth.sum()) * area_m2 == pytest.approx(60.0, rel=0.05)
        checked += 1
    assert checked > 5


def test_the_box_of_a_hidden_load_holds_it() -> None:
    for seed in range(6):
        scene = scene_of(Case.HIDDEN_LOAD, seed, mass_kg=80.0)
        seen = scene.cargo.depth > 0
        x, y, w, h = scene.cargo.boxes[0]
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        assert x <= columns[0] <= columns[-1] < x + w
        reach = int(np.ceil(np.abs(scene.sway_px).max())) + 1
        assert y - reach <= rows[0] <= rows[-1] < y + h + reach


def test_hidden_loads_lie_in_every_place_and_in_machinery_of_reefers_only() -> None:
    truths = [simulate(RNG(seed), scanner="port", mass_kg=30).truth for seed in range(90)]
    assert {truth.place for truth in truths} == set(Place)
    assert {truth.kind for truth in truths if truth.place is Place.MACHINERY} == {Kind.REEFER}


def test_a_heavier_load_of_the_same_draw_darkens_more() -> None:
    light, heavy = (simulate(RNG(1), scanner="port", mass_kg=mass).truth for mass in (20, 400))
    assert heavy.cargo_optical_depth > 4 * light.cargo_optical_depth


def changed(without: Scan, with_load: Scan) -> np.ndarray:
    difference = np.abs(without.pixels.astype(int) - with_load.pixels)
    return difference if difference.ndim == 2 else difference.max(2)


@pytest.mark.parametrize("scanner", ["port", "inverted-6mv", "rainbow", "van-450kv"])
def test_a_pair_differs_where_the_load_lies_and_nowhere_else(scanner: str) -> None:
    for seed in range(3):
        without, with_load = simulate_pair(RNG(seed), mass_kg=300, scanner=scanner)
        assert (without.truth.class_name, with_load.truth.class_name) == ("empty", "loaded")
        assert (without.truth.boxes, without.truth.cargo_mass_kg, without.truth.place) == ((), 0.0, None)
        assert without.truth.container_number == with_load.truth.container_number
        difference = changed(without, with_load)
        x, y, w, h = with_load.truth.boxes[0]
        beside = difference.copy()
        beside[max(0, y - 6) : y + h + 6, max(0, x - 6) : x + w + 6] = 0  # blur reaches four pixels
        assert difference.max() > 0
        assert beside.max() == 0


def test_a_pair_is_the_same_again_from_the_same_state() -> None:
    once, again = (simulate_pair(RNG(8), mass_kg=50) for _ in range(2))
    assert [scan.pixels.tobytes() for scan in once] == [scan.pixels.tobytes() for scan in again]


@pytest.mark.parametrize("mass_kg", [0.0, 0.9, 501.0, -3.0, float("nan")])
def test_a_mass_out_of_range_is_refused_with_the_range(mass_kg: float) -> None:
    with pytest.raises(InvalidInput, match="1 to 500 kg"):
        simulate(RNG(0), mass_kg=mass_kg)
    with pytest.raises(InvalidInput, match="1 to 500 kg"):
        simulate_pair(RNG(0), mass_kg=mass_kg)


def test_an_unknown_case_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(InvalidInput, match=r"no case 'fog'.*foam"):
        case_of("fog")
    with pytest.raises(InvalidInput, match="no case 'fog'"):
        port_day(1, 1, case="fog")  # type: ignore[arg-type]


def test_wishes_that_contradict_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'dirt' are empty"):
        simulate(RNG(0), loaded=True, case=Case.DIRT)
    with pytest.raises(InvalidInput, match="'foam' are loaded"):
        simulate(RNG(0), loaded=False, case=Case.FOAM)
    with pytest.raises(InvalidInput, match="'foam': leave one out"):
        simulate(RNG(0), case=Case.FOAM, mass_kg=20)


def test_a_day_of_one_case_is_all_of_it() -> None:
    truths = [scan.truth for scan in port_day(6, seed=2, case=Case.DIRT)]
    assert {(truth.case, truth.class_name) for truth in truths} == {(Case.DIRT, "empty")}
    hidden = [scan.truth for scan in port_day(4, seed=2, mass_kg=25)]
    assert {round(truth.cargo_mass_kg, 3) for truth in hidden} == {25.0}
