"""Frames in and out: pictures, films and cameras are read, films, GIFs and pictures are written."""
