"""The inference runtime: one frozen base model, any number of adapters beside it, `python -m worker.inference`.

A plain library and a small HTTP server. It knows no database and no bucket: adapters come by presigned URL.
"""
