"""Fine-tuning of text classifiers: data, training, evaluation and the run directory that `explicate export` reads."""
