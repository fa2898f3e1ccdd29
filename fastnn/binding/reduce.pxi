# reduce.pxi
