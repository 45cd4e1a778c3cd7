"""A fedbench federation over Flower: frames between `fedbench coordinate` and `fedbench worker`, carried and never read."""
