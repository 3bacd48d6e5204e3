/* Addresses by name, from the symbol table of an ELF file. */
#ifndef REPRISE_SIM_SYMBOLS_H
#define REPRISE_SIM_SYMBOLS_H

#include "sim/files.h"

/* Finds `text`: a hexadecimal address with or without 0x, or the name of a symbol in the ELF file at `path` (NULL: there is
 * none). False with one line in `message`, which begins with the option's name, otherwise. */
bool symbols_place(const char *option, const char *text, const char *path, u64 *address, char message[FILE_MESSAGE_MAX]);

#endif
