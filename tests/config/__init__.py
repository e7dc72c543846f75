"""Settings: where they may be given, which counts, and what is told about them."""
