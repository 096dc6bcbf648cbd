from itertools import pairwise

import numpy as np
import pytest

from robo.perception.color_mass import SHAPE, color_mass


def reference(frame_bgr: np.ndarray) -> np.ndarray:
    """The same in plain NumPy, step by step."""
    image = frame_bgr[frame_bgr.shape[0] // 4 :, :, ::-1].astype(np.float64)
    largest = image.max(axis=2, keepdims=True)
    kept = np.where((image == largest) & (largest > 100), 255.0, 0.0)
    features = []
    for lines in (kept.mean(axis=0), kept.mean(axis=1)):
        low, high = lines.min(axis=1, keepdims=True), lines.max(axis=1, keepdims=True)
        scaled = np.where(high > low, (lines - low) / np.where(high > low, high - low, 1.0), 0.0)
        edges = [group * len(scaled) // 4 for group in range(5)]
        features += [scaled[first:last].mean(axis=0) for first, last in pairwise(edges)]
    return np.array(features)


@pytest.mark.parametrize("width", [8, 9, 10, 31, 64, 127, 128])
def test_equals_the_plain_reference(width: int) -> None:
    random = np.random.default_rng(width)
    for levels in (3, 256):
        values = np.linspace(60, 255, levels).astype(np.uint8)
        frame = random.choice(values, (width * 80 // 128, width, 3))
        found = color_mass(frame)
        assert found.dtype == np.float32
        assert found.shape == SHAPE
        np.testing.assert_allclose(found, reference(frame), atol=1e-6)


@pytest.mark.parametrize("level", [0, 100, 101, 255])
def test_a_grey_picture_is_all_zero(level: int) -> None:
    assert not color_mass(np.full((80, 128, 3), level, np.uint8)).any()


def test_a_channel_counts_only_above_the_threshold() -> None:
    frame = np.zeros((80, 128, 3), np.uint8)
    frame[..., 2] = 100
    assert not color_mass(frame).any()
    frame[..., 2] = 101
    np.testing.assert_array_equal(color_mass(frame), [[1.0, 0.0, 0.0]] * 8)


def test_rows_and_columns_are_told_apart() -> None:
    frame = np.zeros((80, 128, 3), np.uint8)
    frame[20:35, :, 0] = 200
    frame[65:, 96:, 1] = 200
    found = color_mass(frame)
    np.testing.assert_array_equal(found[0], [0, 0, 1])
    np.testing.assert_array_equal(found[4], [0, 0, 1])
    np.testing.assert_array_equal(found[7], [0, 1, 0])
    np.testing.assert_array_equal(found[5:7], np.zeros((2, 3)))
    np.testing.assert_array_equal(found[3], [0, 1, 1])


def test_the_top_quarter_does_not_count() -> None:
    frame = np.zeros((80, 128, 3), np.uint8)
    frame[:20] = (0, 0, 255)
    assert not color_mass(frame).any()


def test_takes_views_that_are_not_contiguous() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (80, 128, 3), np.uint8)
    np.testing.assert_array_equal(
        color_mass(frame[:, :, ::-1]), color_mass(np.ascontiguousarray(frame[:, :, ::-1]))
    )
