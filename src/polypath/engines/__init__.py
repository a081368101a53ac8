"""Adapters to training engines. They move arrays and hold no formula."""
