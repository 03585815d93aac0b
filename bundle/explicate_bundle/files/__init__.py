"""Reading files of formats that others made, within bounds: arrays, graphs, and the first bytes of images."""
