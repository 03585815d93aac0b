"""Shares of the model's time, by the bounds that follow from how balances are kept."""

from hypothesis import given, settings
from hypothesis import strategies as st

from explicate_server.runtime.turns import FairShares

PREDICT, EXPLAIN, BULK = range(3)
SHARES = [0.0, 0.25, 0.05]
ALL = [PREDICT, EXPLAIN, BULK]
costs = st.floats(0.001, 1.0)


def choose(shares: FairShares, waiting: list[int]) -> int:
    """The class that is owed a batch, else the first."""
    owed = shares.owed(waiting)
    return waiting[0] if owed is None else owed


three_costs = st.lists(st.tuples(costs, costs, costs), min_size=50, max_size=300)


@settings(max_examples=50)
@given(three_costs)
def test_when_all_wait_each_lower_class_gets_its_share_at_every_moment_and_no_more(
    batches: list[tuple[float, float, float]],
) -> None:
    shares = FairShares(SHARES)
    spent_s = [0.0, 0.0, 0.0]
    longest_s = max(max(batch) for batch in batches)
    for batch in batches:
        chosen = choose(shares, ALL)
        shares.charge(chosen, batch[chosen], waiting=ALL)
        spent_s[chosen] += batch[chosen]
        for number in (EXPLAIN, BULK):
            due_s = SHARES[number] * sum(spent_s)
            # What is due is the balance: one batch of another class, or two for EXPLAIN when BULK goes first.
            assert spent_s[number] >= due_s - 2 * SHARES[number] * longest_s - 1e-9
            assert spent_s[number] <= due_s + (1 - SHARES[number]) * longest_s + 1e-9


def test_without_predict_explain_takes_all_but_the_share_of_bulk() -> None:
    shares = FairShares(SHARES)
    chosen = []
    for _ in range(400):
        chosen.append(choose(shares, [EXPLAIN, BULK]))
        shares.charge(chosen[-1], 1.0, waiting=[EXPLAIN, BULK])
    assert abs(chosen.count(BULK) - 20) <= 1


def test_a_class_that_does_not_wait_saves_nothing_up() -> None:
    shares = FairShares(SHARES)
    for _ in range(1000):
        shares.charge(PREDICT, 1.0, waiting=[PREDICT])
    chosen = []
    for _ in range(40):
        chosen.append(choose(shares, ALL))
        shares.charge(chosen[-1], 1.0, waiting=ALL)
    assert chosen[0] == PREDICT
    assert chosen.count(EXPLAIN) <= 11
    assert chosen.count(BULK) <= 3


def test_a_class_that_had_the_model_to_itself_is_one_batch_behind_and_no_more() -> None:
    shares = FairShares(SHARES)
    for _ in range(1000):
        shares.charge(EXPLAIN, 1.0, waiting=[EXPLAIN])
    chosen = []
    for _ in range(8):
        chosen.append(choose(shares, [PREDICT, EXPLAIN]))
        shares.charge(chosen[-1], 1.0, waiting=[PREDICT, EXPLAIN])
    assert chosen[:5] == [PREDICT] * 4 + [EXPLAIN]


def test_two_lanes_that_choose_at_once_do_not_both_pay_the_same_debt() -> None:
    shares = FairShares(SHARES)
    shares.charge(PREDICT, 1.0, waiting=[PREDICT, EXPLAIN])
    first = choose(shares, [PREDICT, EXPLAIN])
    shares.charge(first, 1.0, waiting=[PREDICT, EXPLAIN])
    assert (first, choose(shares, [PREDICT, EXPLAIN])) == (EXPLAIN, PREDICT)
