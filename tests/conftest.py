"""Hypothesis profiles for all tests: `HYPOTHESIS_PROFILE=long` looks harder, for nights and releases."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The machine is shared, so how long an example takes says nothing.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("default"), max_examples=2_000, stateful_step_count=80)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
