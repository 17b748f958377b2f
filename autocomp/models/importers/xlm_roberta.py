"""XLM-RoBERTa (Conneau et al., 2020, arXiv:1911.02116): RoBERTa with a SentencePiece vocabulary of 100 languages."""

from autocomp.models.importers import roberta

importer = roberta.importer
