"""A trained net in use: pictures, films and cameras in, what is on them out."""
