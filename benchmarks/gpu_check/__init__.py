"""What a GPU makes of a server: is it right, how fast is it, and does it bear what happens; `make gpu-check`.

Nothing is carried or downloaded: models of the shapes of MiniLM-L6, BERT-base, ResNet-50 and ViT-B get random weights
and are exported by this project on the spot. Each step is a process of its own with a time limit, so that one that
fails, hangs or loses the device does not end the others; what is done is kept in a folder and not done again.
"""
