"""Answers for people, and for what draws them: words, HTML, shap objects."""
