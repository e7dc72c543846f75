#!/usr/bin/env bash
# Evaluates the two tasks of this example. Exit code 0: every threshold was reached; 1: it was not, or a run failed.
#
#   ./run.sh                                        # http://127.0.0.1:8080 and the practice model on port 8400
#   ASSAY_SERVER=http://HOST:PORT ./run.sh --model-url http://HOST:PORT/v1 --model-name NAME
set -euo pipefail
tasks="$(cd "$(dirname "$0")" && pwd)/tasks"
export ASSAY_MODEL_URL="${ASSAY_MODEL_URL:-http://127.0.0.1:8400/v1}"

# Questions: sent to the chat endpoint, which is the default.
assay eval --task everyday --include-path "$tasks" --metric exact_match --threshold 0.7 --name everyday "$@"

# Choices: compared by log-probabilities, so the completions endpoint is needed.
assay eval --task professions --include-path "$tasks" --endpoint completions --metric acc --threshold 0.5 --name professions "$@"
