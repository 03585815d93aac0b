"""Bundles on the Hugging Face Hub: the folder that is uploaded, with a page and figures that the Hub reads."""
