"""What is in a file, and how does it run? Weights, products, operators, times, activations, the machine's limit."""
