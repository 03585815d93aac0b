"""Keeps the libraries' chatter off the terminal, so that what is said there means something."""

import logging

import datasets
import transformers


def quieten_libraries() -> None:
    """Lets transformers, datasets and their like speak of errors only, and takes away their progress bars."""
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    for name in ("accelerate", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
