"""The encoder, the head, and the directory they are saved in. Torch begins here."""
