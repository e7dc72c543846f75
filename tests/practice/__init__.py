"""The practice model: its mathematics, its endpoint, its faults, and the catalogue that uses it."""
