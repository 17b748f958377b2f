"""What is in a tokenizer: its files read as transformers reads them, and its vocabulary cut down."""
