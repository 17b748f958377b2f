"""CamemBERT (Martin et al., 2020, arXiv:1911.03894): a French RoBERTa with a SentencePiece vocabulary."""

from autocomp.models.importers import roberta

importer = roberta.importer
