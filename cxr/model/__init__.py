"""A network with its bundle: logits, decision, input gate, evidence map."""
