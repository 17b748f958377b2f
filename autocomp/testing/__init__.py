"""What plug-in authors and our own tests share: tiny models, contracts, stored facts."""
