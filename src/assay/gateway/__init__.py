"""The gateway: the proxy between an evaluation and the outside (the model, MLflow, and the server's callbacks).

It adds the credentials that the evaluation never sees, bounds and retries requests, and counts what they use.
`server.Gateway` is the program; everything else is one of its parts.
"""

from assay.gateway.credentials import Credential, resolve
from assay.gateway.errors import CredentialError, GatewayError, RouteError
from assay.gateway.mlflow_server import MlflowServer
from assay.gateway.retry import RetryPolicy
from assay.gateway.routes import CallbackRoute, MlflowRoute, ModelRoute, RequestLimits, RunRoute
from assay.gateway.server import Gateway, OpenRun
from assay.gateway.usage import Usage

__all__ = [
    "CallbackRoute",
    "Credential",
    "CredentialError",
    "Gateway",
    "GatewayError",
    "MlflowRoute",
    "MlflowServer",
    "ModelRoute",
    "OpenRun",
    "RequestLimits",
    "RetryPolicy",
    "RouteError",
    "RunRoute",
    "Usage",
    "resolve",
]
