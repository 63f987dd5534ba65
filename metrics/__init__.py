"""Metrics in the layout of the Hugging Face `evaluate` library; their maths needs numpy and scikit-learn alone."""
