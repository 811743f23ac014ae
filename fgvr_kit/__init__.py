"""fgvr-kit: from a labelled image folder to a fine-tuned, honestly evaluated multimodal LLM."""

__version__ = "0.1.0"
