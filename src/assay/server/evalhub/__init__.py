"""The EvalHub face: wire-compatible with EvalHub server 1.0.2, so that its SDK, CLI and adapters work unmodified."""
