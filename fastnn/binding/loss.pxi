# loss.pxi
