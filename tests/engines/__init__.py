"""Tests of the engines, against the real lm_eval in its own environment and the practice model."""
