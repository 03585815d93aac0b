"""Models for tables that others fitted: scikit-learn, XGBoost and LightGBM. Nothing here imports torch."""
