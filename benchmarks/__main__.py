"""`python -m benchmarks`: Predict against a bare loop, Explain against shap and lime; texts, tables and images."""

from benchmarks import explain_time, image_time, table_throughput, throughput
from benchmarks.report import Figure, print_table


def main() -> None:
    """Run what fits in a few minutes and print one table; the other modules are longer."""
    parts = (throughput, table_throughput, explain_time, image_time)
    figures: list[Figure] = [figure for part in parts for figure in part.measure()]
    print_table(figures)


if __name__ == "__main__":
    main()
