//! The model under its own suite.
