"""The systems outside that jobs are told to: MLflow for experiments and evaluation cards, OCI registries for cards.

`mlflow` and `oci` speak to them; what a card holds and when it is sent is decided in the scheduler.
"""
