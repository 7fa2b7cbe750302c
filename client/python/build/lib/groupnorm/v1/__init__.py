"""The messages and stubs of groupnorm.v1."""
