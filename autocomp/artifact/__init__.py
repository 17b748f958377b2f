"""What do we ship? One ONNX file that unpacks itself, a tokenizer and a manifest."""
