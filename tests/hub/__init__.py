"""A Hub on loopback: what huggingface_hub's client needs of huggingface.co, in memory, for tests."""
