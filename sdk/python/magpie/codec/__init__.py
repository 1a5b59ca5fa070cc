"""The columnar frames that FORMAT.md (sdk/wire) draws, byte for byte as the Go codec writes them.

    frame.py      headers, walking over a packet, the packet around the frames
    encoder.py    a source's batches into frames
    bodies.py     definitions, histograms, exemplars, checkpoints: what is made of numbers and texts
    packer.py     frames into packets, with credit and acknowledgements
    decoder.py    packets into what a sink reads
"""
