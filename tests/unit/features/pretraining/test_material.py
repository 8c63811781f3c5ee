"""What a training sees: scenes and films as they are kept, and batches that follow from seed and step alone."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from app.errors import ConfigurationError, InvalidInput
from app.features.pretraining import films as film_files
from app.features.pretraining import scenes as simulated
from app.features.pretraining.batches import Material, batch, batches
from app.features.pretraining.nuisance import Placing, Showing, film_placing, placed, showing, shown
from app.features.pretraining.recipe import Phase, PretrainingRecipe
from app.features.pretraining.scenes import Wanted
from app.simulator import HELD_OUT_SCANNERS, RANDOM, SCANNERS, TRAINING_SCANNERS

RECIPE = PretrainingRecipe(phases=(Phase(64, 4), Phase(96, 2)), films=2, views=3, pairs=2, scenes=6, seed=1)
WHOLE = Placing((0.0, 0.0, 1.0, 1.0), 0.0, False)
PLAIN = Showing(inverted=False, kept=1.0, gain=1.0, gamma=1.0, contrast=1.0, offset=0.0, noise=0.0, grain=1, seed=0)


def test_scenes_are_the_same_wherever_they_are_made(some_scenes, tmp_path):
    again = simulated.scenes(tmp_path / "again", Wanted(6, 4, seed=3))
    np.testing.assert_array_equal(again.planes, some_scenes.planes)
    np.testing.assert_array_equal(again.cargo, some_scenes.cargo)
    np.testing.assert_array_equal(again.mass_kg, some_scenes.mass_kg)


def test_scenes_that_are_whole_are_not_made_again(some_scenes, scene_folder, monkeypatch):
    monkeypatch.setattr(simulated, "_make", lambda *_: pytest.fail("made again"))
    kept = simulated.scenes(scene_folder, Wanted(6, 4, seed=3))
    np.testing.assert_array_equal(kept.planes, some_scenes.planes)


def test_scenes_of_another_seed_replace_those_that_are_kept(tmp_path):
    first = np.array(simulated.scenes(tmp_path, Wanted(1, 1, seed=0)).planes)
    assert (np.array(simulated.scenes(tmp_path, Wanted(1, 1, seed=1)).planes) != first).any()


def test_a_damaged_folder_of_scenes_names_the_remedy(tmp_path):
    simulated.scenes(tmp_path, Wanted(1, 1, seed=0))
    (tmp_path / "planes.npy").write_bytes(b"not an array")
    with pytest.raises(ConfigurationError, match="delete it"):
        simulated.scenes(tmp_path, Wanted(1, 1, seed=0))


def test_no_scene_is_scanned_by_a_scanner_that_is_held_out():
    assert HELD_OUT_SCANNERS
    assert not set(TRAINING_SCANNERS) & set(HELD_OUT_SCANNERS)
    assert set(Wanted(1, 1, seed=0).scanners) == {*TRAINING_SCANNERS, RANDOM}


@pytest.mark.parametrize("random", [True, False])
def test_half_of_all_scanners_are_drawn_at_random_or_none(random):
    wanted = Wanted(20, 20, seed=0, random_scanners=random)
    for part in (range(20), range(20, 40)):
        drawn = [scan.truth.scanner for index in part for scan in simulated._scene(wanted, index)]
        assert 0.25 * random <= np.mean([name == RANDOM for name in drawn]) <= 0.75 * random


def test_scenes_of_other_scanners_replace_those_that_are_kept(tmp_path):
    first = np.array(simulated.scenes(tmp_path, Wanted(4, 4, seed=0)).planes)
    known = np.array(simulated.scenes(tmp_path, Wanted(4, 4, seed=0, random_scanners=False)).planes)
    assert (first != known).any()
    assert (np.array(simulated.scenes(tmp_path, Wanted(4, 4, seed=0)).planes) == first).all()


def test_planes_are_light_behind_whatever_the_scanner_shows():
    """The open beam is light: of a scanner that shows it dark, the plane is turned round."""
    inverted = next(name for name in TRAINING_SCANNERS if SCANNERS[name].inverted)
    from app.simulator import simulate

    scan = simulate(np.random.default_rng(0), loaded=False, scanner=inverted)
    plane = simulated._reduced(scan)["planes"]
    assert np.median(scan.pixels) < 128 < np.median(plane)


def test_pairs_differ_by_their_load_alone(some_scenes):
    """Where the map of cargo says nothing and the load's neighbourhood ends, both planes are alike."""
    for index in range(some_scenes.views, some_scenes.views + some_scenes.pairs):
        without, loaded = (some_scenes.planes[index, n].astype(int) for n in (0, 1))
        assert some_scenes.mass_kg[index, 0] == 0 < some_scenes.mass_kg[index, 1]
        assert some_scenes.cargo[index, 0].max() == 0 < some_scenes.cargo[index, 1].max()
        size = (simulated.WIDTH, simulated.HEIGHT)
        inside = np.asarray(Image.fromarray(some_scenes.cargo[index, 1]).resize(size)) > 0
        change = np.abs(without - loaded)
        assert change[inside].mean() > 5 * change[~inside].mean()


def test_a_film_that_cannot_be_read_is_left_out_with_its_reason(film_folder, tmp_path):
    for path in film_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot a film")
    planes, _, refused = film_files.read(film_files.found([tmp_path]))
    assert planes.shape == (6, film_files.SIDE, film_files.SIDE)
    assert [path.name for path, _ in refused] == ["broken.png"]
    assert refused[0][1]


def test_folders_without_films_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no folder"):
        film_files.found([tmp_path / "absent"])
    with pytest.raises(InvalidInput, match="holds no film"):
        film_files.found([tmp_path])
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="None of the films"):
        film_files.read(film_files.found([tmp_path]))


def test_the_digest_of_films_is_of_their_contents(film_folder, tmp_path):
    here = film_files.read(film_files.found([film_folder]))[1]
    for path in film_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert film_files.read(film_files.found([tmp_path]))[1] == here
    (tmp_path / "0.png").unlink()
    assert film_files.read(film_files.found([tmp_path]))[1] != here


def test_a_batch_follows_from_seed_and_step(material):
    one, same = batch(material, RECIPE, 3), batch(material, RECIPE, 3)
    np.testing.assert_array_equal(one.seen, same.seen)
    assert (batch(material, RECIPE, 2).seen != one.seen).any()
    assert (batch(material, replace(RECIPE, seed=2), 3).seen != one.seen).any()


def test_a_batch_holds_films_views_and_pairs_in_their_order(material):
    one = batch(material, RECIPE, 0)
    assert one.seen.shape == (2 + 2 * 3 + 2 * 2, 64, 64)
    assert one.clean.shape == (2 + 3, 64, 64)
    assert one.seen.dtype == one.clean.dtype == np.float32
    assert 0 <= one.seen.min() <= one.seen.max() <= 1
    assert {name: value.shape for name, value in one.truth.items()} == {
        "presence": (10,), "log_mass": (10,), "family": (10,), "cells": (10, 2, 2),
    }  # fmt: skip
    presence = one.truth["presence"]
    np.testing.assert_array_equal(presence[:3], presence[3:6])  # two views of one scene
    np.testing.assert_array_equal(presence[6:], [0, 0, 1, 1])  # without, with
    np.testing.assert_array_equal(one.truth["log_mass"] > 0, presence == 1)
    np.testing.assert_array_equal(one.truth["family"] > 0, presence == 1)


def test_without_nuisance_the_student_sees_what_the_teacher_sees(material):
    one = batch(material, replace(RECIPE, nuisance=0.0), 0)
    np.testing.assert_allclose(one.seen[:5], one.clean, atol=1e-6)


def test_films_alone_have_no_truth(material):
    alone = replace(RECIPE, views=0, pairs=0, invariance=0.0)
    one = batch(Material(material.films, None), alone, 0)
    assert one.truth == {}
    assert len(one.seen) == len(one.clean) == 2


def test_batches_go_on_from_any_step(material):
    whole = [one.seen for one in batches(material, RECIPE, 0)]
    assert [one.shape[1] for one in whole] == [64, 64, 64, 64, 96, 96]
    rest = [one.seen for one in batches(material, RECIPE, 4)]
    assert len(rest) == 2
    np.testing.assert_array_equal(rest[1], whole[5])


def test_a_plane_placed_whole_is_the_plane():
    plane = np.tile(np.arange(0, 128, 2, dtype=np.uint8), (64, 1))
    np.testing.assert_allclose(placed(plane, WHOLE, 64) * 255, plane, atol=1e-4)
    np.testing.assert_allclose(placed(plane, replace(WHOLE, mirrored=True), 64) * 255, plane[:, ::-1], atol=1e-4)


def test_a_film_is_placed_within_itself():
    for seed in range(50):
        left, top, right, bottom = film_placing(np.random.default_rng(seed)).box
        assert 0 <= left < right <= 1.0001
        assert 0 <= top < bottom <= 1.0001


def test_a_showing_can_invert_and_stays_in_range():
    grey = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    np.testing.assert_allclose(shown(grey, PLAIN), grey, atol=1e-6)
    np.testing.assert_allclose(shown(grey, replace(PLAIN, inverted=True)), 1 - grey, atol=1e-6)
    drawn = [showing(np.random.default_rng(seed), 1.0) for seed in range(200)]
    assert 0.15 < np.mean([one.inverted for one in drawn]) < 0.35
    for one in drawn[:20]:
        assert 0 <= shown(grey, one).min() <= shown(grey, one).max() <= 1
