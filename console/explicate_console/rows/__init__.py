"""What the Rows page reads: folders of `explicate score`, a row group at a time.

`explicate_console.row_routes` takes requests and `row_requests` answers them; `row_folders` knows the folders and their
files, `row_columns` what a filter may name, `row_query` chooses and orders rows; `row_pages`, `row_summary`,
`row_slices` and `row_detail` make the answers. Beyond one row group, memory holds at most 4 bytes for each chosen row
and 16 for each one that is ordered, 24 for one that is sliced.
"""
