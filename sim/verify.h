/* The verb `verify`: two engines in step on one guest, and the first instruction after which they differ. */
#ifndef REPRISE_SIM_VERIFY_H
#define REPRISE_SIM_VERIFY_H

/* Arguments after the verb. Returns enum exit_code: EXIT_POWER_OFF if the engines agree to the guest's end or to the
 * limit, EXIT_DIVERGED if they do not. */
int verb_verify(int argc, char **argv);

#endif
