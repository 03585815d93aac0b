"""Which candidate wins: the best, or of those that chance does not tell from it the easiest one to explain."""

from explicate_studies.auto.candidates import Finished
from explicate_studies.auto.finalists import Compared, winner_of
from explicate_studies.choice import Measured


def candidate(
    name: str, *, behind: float = 0.0, error: float = 0.01, simplicity: int = 3, servable: bool = True
) -> Compared:
    finished = Finished(name, name, f"runs/{name}", 1.0, simplicity, servable=servable)
    return Compared(finished, Measured(0.9 - behind), Measured(behind), error)


def priced(one: Compared, price: float, lower: float, upper: float) -> Compared:
    figures = {"evaluations_per_player": Measured(price, lower, upper)}
    return Compared(one.finished, one.metric, one.behind, one.error, figures, one.unmet)


def won(*ranked: Compared) -> str:
    found = winner_of(ranked)
    assert found is not None
    return found.finished.name


def test_the_best_wins_where_others_are_behind_by_more_than_chance() -> None:
    assert won(candidate("best", simplicity=4), candidate("simple", behind=0.02, simplicity=0)) == "best"


def test_of_those_that_are_not_told_apart_the_easier_one_to_explain_wins() -> None:
    assert won(candidate("best", simplicity=4), candidate("simple", behind=0.009, simplicity=0)) == "simple"


def test_a_price_that_is_lower_beyond_its_interval_goes_before_the_kind_of_model() -> None:
    dear, cheap = candidate("dear", simplicity=0), candidate("cheap", behind=0.005, simplicity=4)
    assert won(priced(dear, 9, 8, 10), priced(cheap, 5, 4, 6)) == "cheap"
    assert won(priced(dear, 9, 5, 10), priced(cheap, 5, 4, 6)) == "dear"
    assert won(priced(dear, 9, 8, 10), cheap) == "dear"  # of one of them the price is not known


def test_one_that_is_not_expected_to_meet_the_standard_gives_way() -> None:
    best, next_ = candidate("best", simplicity=0), candidate("next", behind=0.005)
    missed = Compared(best.finished, best.metric, best.behind, best.error, unmet="on the validation rows it misses a")
    assert won(missed, next_) == "next"
    assert won(missed) == "best"


def test_what_no_server_runs_does_not_win() -> None:
    assert won(candidate("tfidf", behind=-0.02, servable=False, simplicity=0), candidate("encoder")) == "encoder"
    assert winner_of([candidate("tfidf", servable=False)]) is None
