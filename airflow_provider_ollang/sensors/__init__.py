"""Ollang sensors."""
