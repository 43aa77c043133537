"""What unlearning costs, and whether a trial can be trusted."""
