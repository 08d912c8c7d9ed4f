"""The Inspector's panel of the observable tasks."""
