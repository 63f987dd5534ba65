"""The dataset schema and the builders that write it."""
