"""When memory runs out, a pass takes half as many images and says so; the libraries' own errors, really raised."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from app.features.engines.batches import Chunk, chunks, padded, ran_out_of_memory

HUGE = 1 << 44  # elements that no machine has


def too_much_for_numpy(images):
    return np.empty((images, HUGE), np.float32)


def too_much_for_tensorflow(images):
    import tensorflow

    return tensorflow.zeros((images, HUGE)) + 1


def too_much_for_openvino(images):
    """A graph that repeats its input to a size that cannot be had."""
    import openvino
    from openvino import opset13 as ops

    scans = ops.parameter([-1, 1], np.float32)
    wide = ops.tile(scans, np.array([1, HUGE], np.int64))
    graph = openvino.Model([ops.reduce_sum(wide, np.array([1]), True).output(0)], [scans])
    return openvino.Core().compile_model(graph, "CPU")(np.ones((images, 1), np.float32))


@pytest.mark.parametrize("library", [too_much_for_numpy, too_much_for_tensorflow, too_much_for_openvino])
def test_pass_is_halved_until_memory_suffices(library, caplog):
    done = []

    def work(size):
        for rows in chunks(40, size):
            if rows.stop - rows.start > 4:
                library(rows.stop - rows.start)
            done.append(rows)

    chunk = Chunk(16)
    with caplog.at_level(logging.WARNING):
        chunk.run("some/fp32", 40, work)
    assert chunk.size == 4
    assert [row for rows in done[-10:] for row in range(rows.start, rows.stop)] == list(range(40))
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        f"some/fp32: memory ran out with {size} images in a pass; from here on {size // 2}" for size in (16, 8)
    ]


def test_few_images_are_halved_at_once():
    """Not 16, 8, 4 and 2 with the same three images each time."""
    tried = []

    def work(size):
        tried.append(size)
        if size > 1:
            too_much_for_numpy(size)

    Chunk(16).run("e", 3, work)
    assert tried == [16, 1]


def test_one_image_that_does_not_fit_is_an_error():
    with pytest.raises(MemoryError):
        Chunk(16).run("e", 5, too_much_for_numpy)


def test_other_errors_are_not_tried_again():
    tried = []

    def work(size):
        tried.append(size)
        raise ValueError("something else")

    with pytest.raises(ValueError, match="else"):
        Chunk(16).run("e", 5, work)
    assert tried == [16]


def test_jax_says_it_in_its_own_words():
    pytest.importorskip("jax", reason="jax is not installed: install penumbra[jax]")
    code = f"import jax.numpy as n\ntry: n.zeros(({HUGE},)) + 1\nexcept Exception as e: print(type(e).__name__, e)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said
    assert ran_out_of_memory(RuntimeError(said))


@pytest.mark.parametrize(
    ("count", "size", "streams", "lengths"),
    [(32, 16, 2, [16, 16]), (40, 16, 2, [10, 10, 10, 10]), (1, 16, 2, [1]), (5, 16, 2, [3, 2]), (0, 16, 2, [])],
)
def test_pieces_keep_all_streams_busy(count, size, streams, lengths):
    assert [rows.stop - rows.start for rows in chunks(count, size, streams)] == lengths


@pytest.mark.parametrize(("count", "length"), [(1, 1), (3, 4), (8, 8), (9, 16)])
def test_padding_adds_zeros_up_to_a_power_of_two(count, length):
    batch = padded(np.ones((count, 2, 2), np.float32))
    assert batch.shape == (length, 2, 2)
    assert batch.sum() == count * 4
