"""What a file of a potential is: reading, checking, evaluating."""
