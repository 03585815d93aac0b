"""What a model is, for people without training: plain sentences, which reports and cards show in their own markup."""
