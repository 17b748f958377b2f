"""What is an encoder? One elastic encoder, and importers from Hugging Face."""
