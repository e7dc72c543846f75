"""Fixtures: the same real deployments as the system tests."""

from __future__ import annotations

from ..system.conftest import deploy, lm_eval_environment, model_url

__all__ = ["deploy", "lm_eval_environment", "model_url"]
