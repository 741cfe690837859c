"""What runs in the pods of training jobs."""
