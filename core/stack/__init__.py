"""The embedded servers and the process supervisor behind `tailorbird up`.

`servers.embedded_servers` starts Postgres, Valkey and S3 alone; `up.running_stack` starts the whole product.
"""
