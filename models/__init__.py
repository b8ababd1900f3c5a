"""When do two pictures count as the same: decode, embed, sign, classify, train."""
