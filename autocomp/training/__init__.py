"""How is accuracy won back? Batches, the loop, distillation losses, exit heads."""
