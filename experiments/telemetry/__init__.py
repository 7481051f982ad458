"""What a run tells while it goes on, and of its calls afterwards."""
