"""Owns the figures: pure numpy folds over batches into histograms, stalls, drops, rates and trends."""
