"""Ollang triggers."""
