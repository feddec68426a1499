"""The tests. Each states a promise; none of them mocks anything."""
