"""The sample store: schema, append-only shards, manifest."""
