"""Pages of the docs that are made from the classes and YAML files they describe."""
