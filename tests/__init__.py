"""The tests: a folder for each folder of `src/assay`, and one for each protocol that others speak to it."""
