"""`python -m benchmarks`: Predict against a bare loop, of texts and tables, and Explain against shap and lime."""

from benchmarks import explain_time, table_throughput, throughput
from benchmarks.report import Figure, print_table


def main() -> None:
    """Run what fits in a few minutes and print one table; the other modules are longer."""
    figures: list[Figure] = [*throughput.measure(), *table_throughput.measure(), *explain_time.measure()]
    print_table(figures)


if __name__ == "__main__":
    main()
