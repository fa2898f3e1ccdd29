# elementwise.pxi
