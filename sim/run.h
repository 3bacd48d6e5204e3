/* The verb `run`: boots a kernel and runs it to its end. */
#ifndef REPRISE_SIM_RUN_H
#define REPRISE_SIM_RUN_H

/* Arguments after the verb. Returns enum exit_code, or what the guest wrote to its debug-exit port. */
int verb_run(int argc, char **argv);

#endif
