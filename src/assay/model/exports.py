"""What becomes of a job's evaluation card: where it goes, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from assay.model.results import Message

MLFLOW: Final = "mlflow"
OCI: Final = "oci"

PENDING: Final = "pending"
COMPLETED: Final = "completed"
FAILED: Final = "failed"

WAITING: Final = Message("The evaluation card is exported once the job has ended", "evaluation_card_pending", "server")
UNDER_WAY: Final = Message("The evaluation card is being exported", "evaluation_card_pending", "server")


class Export(msgspec.Struct, frozen=True, omit_defaults=True):
    """A card on its way to one target. `state`: pending, completed or failed.

    `reference` and `digest` say what it became: the id of an MLflow run; a manifest's reference and digest in a registry.
    """

    state: str = PENDING
    message: Message = WAITING
    reference: str = ""
    digest: str = ""


def planned(spec: Mapping[str, Any]) -> dict[str, Export]:
    """Return the exports that a submission asks for, by target."""
    asked = {MLFLOW: "experiment" in spec, OCI: "oci" in spec.get("exports", {})}
    return {target: Export() for target, wanted in asked.items() if wanted}
