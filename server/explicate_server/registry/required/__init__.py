"""The standard that this server requires of bundles: judging their records, overrides, and scoring test rows again."""
