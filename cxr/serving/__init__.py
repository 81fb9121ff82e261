"""MODEL -> a predictor that answers: from this machine or from the Hub, exchanged while it serves."""
