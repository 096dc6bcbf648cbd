"""Collisions on a tilted floor are those of the plane."""

from __future__ import annotations

import numpy as np
import pytest

from robo.simulation.collisions import BODY_HEIGHT, collide
from robo.simulation.space_collisions import collide_in_space

RATE = 17


def tilted(body: np.ndarray, right: np.ndarray, up: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """A body of the plane, float64 [6], on the floor that these directions span."""
    x, z, yaw, vx, vz, rate = body
    row = np.zeros(24)
    row[0:3] = x * right + z * ahead
    row[3:6] = np.sin(yaw) * right + np.cos(yaw) * ahead
    row[6:9] = up
    row[9:12] = vx * right + vz * ahead + 0.25 * up
    row[RATE] = rate
    return row


@pytest.mark.parametrize("seed", range(4))
def test_a_tilted_floor_changes_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, _ = np.linalg.qr(random.normal(size=(3, 3)))
    right, up = rows[0], rows[1]
    ahead = np.cross(right, up)
    touched = 0
    for _ in range(200):
        a, b = (random.normal(0.0, (0.05, 0.05, 3.0, 2.0, 2.0, 10.0)) for _ in range(2))
        c, d = tilted(a, right, up, ahead), tilted(b, right, up, ahead)
        assert collide_in_space(c, d, RATE) == collide(a, b)
        np.testing.assert_allclose(c, tilted(a, right, up, ahead), rtol=0, atol=1e-9)
        np.testing.assert_allclose(d, tilted(b, right, up, ahead), rtol=0, atol=1e-9)
        touched += not np.array_equal(a, b)
    assert touched > 50


def test_bodies_on_a_bridge_or_across_a_loop_do_not_meet() -> None:
    right, up, ahead = np.eye(3)
    a = tilted(np.array([0.0, 0.0, 0.0, 0.0, 1.0, 0.0]), right, up, ahead)
    b = tilted(np.array([0.0, 0.15, 0.0, 0.0, 0.0, 0.0]), right, up, ahead)
    above, over = b.copy(), b.copy()
    above[1] += BODY_HEIGHT
    over[6:9] = -up
    before = a.copy()
    for other in (above, over):
        assert not collide_in_space(a, other, RATE)
    assert np.array_equal(a, before)
    assert collide_in_space(a, b, RATE)
    assert b[11] > 0.3
