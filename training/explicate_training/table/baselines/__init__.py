"""`[export.baselines]`: groups of training rows that explanations may be set against."""
