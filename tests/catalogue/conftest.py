"""Fixtures: deployments, a practice model, the installed engine."""

from tests.system.conftest import deploy, lm_eval_environment, model_url

__all__ = ["deploy", "lm_eval_environment", "model_url"]
