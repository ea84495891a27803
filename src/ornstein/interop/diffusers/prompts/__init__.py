"""What a prompt says to a network: words and their weights, the encoders that read them."""
