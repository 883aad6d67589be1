"""One file for each kind of action that a policy's step can have."""
