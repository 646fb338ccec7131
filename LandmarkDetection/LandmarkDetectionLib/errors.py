"""The one kind of error that is meant to be read by a user."""


class LandmarkDetectionError(Exception):
    """A problem the user can act on: its text is one sentence that says what is wrong and what to do."""


class DetectionCancelled(LandmarkDetectionError):
    """The user asked a detection to stop."""

    def __init__(self) -> None:
        super().__init__("The detection was cancelled.")
