"""What a rubric goes through: proposed in drafts, read as criteria, reviewed, and marked."""
