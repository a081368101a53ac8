"""Property tests here have no time limit per example: the first one pays for start-up."""

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
