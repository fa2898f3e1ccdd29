# augment.pxi
