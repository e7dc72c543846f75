"""The API: a route table, what surrounds every request, and a folder for each face.

From the route table (`routes`) come dispatch, permission checks, the OpenAPI document and the test that every route is
documented.
"""
