"""Stores, retrievers and indexes for frameworks. Each but pylate imports its framework."""
