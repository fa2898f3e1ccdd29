# activation.pxi
