"""What several unlearning methods need."""
