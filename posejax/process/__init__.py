"""A process of a run: how it starts, joins the others, and ends with them."""
