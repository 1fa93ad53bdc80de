"""Stores and retrievers for frameworks: haystack, langchain. Each imports its framework."""
