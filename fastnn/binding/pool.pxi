# pool.pxi
