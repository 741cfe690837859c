"""What runs in TensorBoard's pods."""
