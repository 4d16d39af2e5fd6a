"""What is done with a work directory beside training in it: `eval` and `convert`."""
