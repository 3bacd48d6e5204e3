# The metal image: the same portable modules, linked with metal/ instead of sim/.
