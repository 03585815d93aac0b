"""The web page of Explicate and its gateway: `explicate console` (docs/console.md)."""
