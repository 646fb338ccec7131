"""The sections of the Landmark Detection panel, one file each."""
