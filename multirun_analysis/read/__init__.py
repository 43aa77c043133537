"""From MLflow to tidy tables: databases, servers, artifacts, and which runs belong together."""
