"""Ollang operators."""
