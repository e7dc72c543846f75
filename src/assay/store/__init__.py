"""Durable state: one interface (`store.base.Store`), one set of operations and queries, and a dialect for each database.

An operation is written once, as a generator of SQL statements (`store.base`), and every dialect drives it. All SQL stands in
`sql/*.sql`, the schema in numbered files under `migrations/`.
"""
