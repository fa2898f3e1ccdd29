# optim.pxi
