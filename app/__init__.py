"""The composition root: builds the rooms from settings, wires, runs and looks after them."""
