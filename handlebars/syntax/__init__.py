"""From the text of a template to a tree: lexer, grammar, nodes, whitespace."""
