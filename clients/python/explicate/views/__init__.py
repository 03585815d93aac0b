"""Answers for people: words, HTML, pictures, shap objects."""
