"""The EvalHub face, against the contract: raw HTTP, real runs, and the official SDK unmodified."""
