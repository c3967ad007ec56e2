"""Every format that leaves a process. Start with `event`."""
