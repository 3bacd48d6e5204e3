/* What must not be possible, done on purpose: the boot command line `provoke=NAME` asks for it, and the machine has to
 * end with a dump that names the fault. So a test sees that the page tables forbid what they should. */
#ifndef REPRISE_METAL_PROVOKE_H
#define REPRISE_METAL_PROVOKE_H

/* Does nothing if the command line does not ask, and returns; otherwise it should not. */
void provoke(const char *command_line);

#endif
