"""All that knows Hydra: objects built from YAML, configurations composed and explained."""
