"""`python -m assay.practice` is `assay practice-model`."""

from assay.practice.command import practice_model

if __name__ == "__main__":
    practice_model(prog_name="python -m assay.practice")
