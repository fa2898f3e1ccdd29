# dropout.pxi
