"""How are numbers stored? Number systems, packings, factors, the rule of int8 products; no torch and no ONNX."""
