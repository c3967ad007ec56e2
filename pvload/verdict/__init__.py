"""Owns the judgement of a summary by its criteria: FAIL, INVALID, INCONCLUSIVE or PASS, never a quiet pass."""
