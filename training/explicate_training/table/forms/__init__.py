"""Networks for tables whose columns do not all meet: sums over columns, and pairs of them."""
