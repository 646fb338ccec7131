"""The sections of the Landmark Training panel, one file each."""
