"""One file or folder for each channel."""
