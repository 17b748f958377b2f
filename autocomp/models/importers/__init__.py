"""How is a Hugging Face model read? One file per `model_type`, each with an `importer`."""
