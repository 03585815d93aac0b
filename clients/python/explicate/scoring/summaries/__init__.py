"""What a folder of `explicate score` says as a whole: `explicate summarize`.

`scored_parts` reads the folder a little at a time, `attribution_sums` adds up what each feature adds, `row_sample`
draws rows for pictures, `summary` has the figures, `charts` and `summary_page` draw them.
"""
