"""The embedded engine: a model in this very process, and how it reads, samples and weighs."""
