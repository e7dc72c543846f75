"""The catalogue that ships with Assay."""
