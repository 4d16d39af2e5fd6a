"""What a data set holds, counted, checked and drawn."""
