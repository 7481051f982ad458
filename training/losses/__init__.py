"""Losses as functions of tensors: no model, no tokenizer, no settings.  One file a family."""
