"""What is learnt from, in memory and in files: examples, and the rows that people keep them in."""
