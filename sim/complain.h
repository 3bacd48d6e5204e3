/* One line to the user about what went wrong. */
#ifndef REPRISE_SIM_COMPLAIN_H
#define REPRISE_SIM_COMPLAIN_H

/* Prints it below what the guest has written, with the terminal as it was. Returns `code`. */
int complain(int code, const char *message);

#endif
