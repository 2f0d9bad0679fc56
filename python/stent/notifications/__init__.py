"""News between processes: the protocol, and the backends that come with the package."""
