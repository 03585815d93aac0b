"""What can go wrong inside an explanation.

ExplanationError
└── NonFiniteValueError     the game answered NaN or infinity for a coalition
ValueError                  wrong arguments
└── TooFewEvaluationsError  the budget is below what the method can do with
"""


class ExplanationError(Exception):
    """An explanation could not be computed."""


class NonFiniteValueError(ExplanationError):
    """The game answered NaN or infinity, so that no attribution can be computed.

    `row` counts the rows asked in this explanation, from 0 in each round; `round` is 0 for the rows asked before
    the first round (nothing present, everything present).
    """

    def __init__(self, *, round: int, row: int, present: list[int]) -> None:
        self.round = round
        self.row = row
        self.present = present
        super().__init__(
            f"The game's value is not a finite number in row {row} of round {round}, where the players {present} are "
            "present; the model must answer finite numbers for every coalition."
        )


class TooFewEvaluationsError(ValueError):
    """The method cannot do with `max_evaluations` rows; `problem` is the message without its subject."""

    def __init__(self, *, method: str, n_players: int, max_evaluations: int) -> None:
        self.problem = (
            f"is {max_evaluations:,}; {method} needs all 2^{n_players} coalitions of {n_players:,} players; give as "
            'many, or take method "auto" or "kernel-shap"'
        )
        super().__init__(f"max_evaluations {self.problem}")
