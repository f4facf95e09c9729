"""Operators that bring what Ollang has made to where it is needed."""
