/* The configuration's texts: pieces of a file of any bytes and any size. Nothing is read outside the piece, nothing written
 * outside the room for texts; a number that is taken lies in its key's range. */
#include "core/vmx.c"
