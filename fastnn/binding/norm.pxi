# norm.pxi
