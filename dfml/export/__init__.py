"""What leaves the program: meta-models as ONNX graphs, as a folder for a model hub, as a web page; a run's curves."""
