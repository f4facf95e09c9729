"""The hook over real sockets: against the sandbox with its faults, and against servers that no sandbox would be."""
