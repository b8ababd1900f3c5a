"""Who belongs together: the fold of links, components, the k-cut, measures of agreement."""
