"""Ollang hooks."""
