"""The inputs of a batch: Parquet, CSV or JSON lines, files, folders and globs, to what the model reads.

`source` opens them all and reads any range of rows; a format is one file (`parquet_rows`, `csv_rows`, `json_rows`);
`fields` says which column is what, and `texts`, `table_rows` and `image_files` make the inputs.
"""
