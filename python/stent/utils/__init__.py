"""Serialization and time, under the names that documents of this package use."""
