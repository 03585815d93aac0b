"""Which coalitions are drawn, and in which order."""

from itertools import accumulate
from math import comb

import numpy as np
import pytest

from explicate_server.explain.statistics.coalitions import PairSampler


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 11, 12])
def test_all_pairs_come_once_and_with_their_complements_make_up_every_coalition(n: int) -> None:
    sampler = PairSampler(n, seed=3)
    coalitions, _ = sampler.draw(10**6)
    assert not sampler.pairs_left
    both = {row.tobytes() for row in coalitions} | {row.tobytes() for row in ~coalitions}
    assert len(both) == 2 * len(coalitions) == 2**n - 2 == 2 * sum(sampler.total_pairs)
    assert all(0 < size < n for size in coalitions.sum(axis=1))


@pytest.mark.parametrize("n", [6, 13, 40])
@pytest.mark.parametrize("budgets", [[1, 1, 1, 7], [3, 30], [16, 1, 16]])
def test_a_larger_budget_extends_a_smaller_one(n: int, budgets: list[int]) -> None:
    at_once = PairSampler(n, seed=11).draw(sum(budgets))[0]
    sampler = PairSampler(n, seed=11)
    parts = [sampler.draw(count)[0] for count in budgets]
    for part, end in zip(parts, accumulate(budgets), strict=True):
        expected = {row.tobytes() for row in at_once[end - len(part) : end]} if end <= len(at_once) else None
        if expected is not None:
            assert {row.tobytes() for row in part} == expected
    assert {r.tobytes() for part in parts for r in part} == {r.tobytes() for r in at_once}


def test_sizes_share_a_budget_equally_until_small_ones_run_out() -> None:
    # n = 14: levels 1 to 6 have share 1, the middle level 7 has share 1/2.
    levels = PairSampler(14, seed=0).draw(65)[1]
    assert np.bincount(levels).tolist() == [10, 10, 10, 10, 10, 10, 5]
    # 14 pairs of level 1 run out at c = 14; the other 250 - 14 are split as 5 shares of 1 and one of 1/2.
    counts = np.bincount(PairSampler(14, seed=0).draw(250)[1])
    assert counts[0] == comb(14, 1)
    assert np.abs(counts[1:6] - 236 / 5.5).max() <= 1
    assert abs(counts[6] - 236 / 11) <= 1


def test_coalitions_have_the_size_of_their_level() -> None:
    coalitions, levels = PairSampler(9, seed=5).draw(200)
    assert np.array_equal(coalitions.sum(axis=1), levels + 1)


def test_within_a_size_players_appear_equally_often() -> None:
    # 7 pairs of level 2 are one shuffle of 14 players cut in 7: everybody appears exactly once.
    coalitions, levels = PairSampler(14, seed=8).draw(46)
    assert np.count_nonzero(levels == 1) == 7
    assert coalitions[levels == 1].sum(axis=0).tolist() == [1] * 14


def test_every_coalition_of_a_size_is_equally_likely() -> None:
    # n = 5, level 2: 10 coalitions, 3 of them in 6 pairs; over 4,000 seeds each is expected 1,200 times.
    counts: dict[bytes, int] = {}
    for seed in range(4000):
        coalitions, levels = PairSampler(5, seed).draw(6)
        for row in coalitions[levels == 1]:
            counts[row.tobytes()] = counts.get(row.tobytes(), 0) + 1
    assert len(counts) == 10
    # The standard deviation is √(4000 · 0.3 · 0.7) = 29.
    assert max(abs(count - 1200) for count in counts.values()) < 4 * 29


def test_seeds_differ_and_repeat() -> None:
    first, again, other = (PairSampler(20, seed).draw(40)[0] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_largest_seed_is_taken() -> None:
    assert len(PairSampler(4, seed=2**64 - 1).draw(3)[0]) == 3


def test_hundreds_of_players_are_drawn_without_repetition() -> None:
    coalitions, levels = PairSampler(512, seed=1).draw(3000)
    assert len({row.tobytes() for row in coalitions}) == 3000
    assert np.array_equal(coalitions.sum(axis=1), levels + 1)
    assert len(np.unique(levels)) == 256


@pytest.mark.parametrize("n", [0, 1])
def test_without_two_players_there_is_nothing_to_draw(n: int) -> None:
    sampler = PairSampler(n, seed=0)
    assert not sampler.pairs_left
    assert sampler.draw(5)[0].shape == (0, n)
