"""What the Rows page reads: folders of `explicate score`, a row group at a time.

`row_routes` takes requests, `row_folders` knows the folders and their files, `row_columns` what a filter may name,
`row_query` chooses and orders rows; `row_pages`, `row_summary`, `row_slices` and `row_detail` answer. Beyond one row
group, memory holds at most 4 bytes for each chosen row and 16 for each one that is ordered or sliced.
"""
