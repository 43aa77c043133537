"""What happens around many trials: schedule, resume, summary."""
