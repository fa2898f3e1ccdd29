# conv.pxi
