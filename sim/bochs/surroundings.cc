/* What Bochs' processor expects around it: parameters, logs, the clock, ports. Each does the least that it must. */
#include "plugin.h"

#include "gui/siminterface.h"
#include "param_names.h"
#include "pc_system.h"
#include "bx_debug/debug.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bochs_host plugin_host;

/* Before the processor, whose constructor uses them. */
logfunctions log_of_all;
logfunc_t *genlog = &log_of_all, *pluginlog = &log_of_all, *siminterface_log = &log_of_all;
bx_pc_system_c bx_pc_system;
bx_debug_t bx_dbg;
Bit32u apic_id_mask = 0xf;
bool simulate_xapic = true;
bx_list_c *root_param = NULL;

/* ---- Parameters ------------------------------------------------------------------------------------- */

/* A third fault in a row is a request of a reset; every other question is answered with no. */
class parameters : public bx_simulator_interface_c {
public:
    bx_param_bool_c *get_param_bool(const char *name, bx_param_c *) override
    {
        static bx_param_bool_c yes(NULL, "yes", "", "", 1), no(NULL, "no", "", "", 0);
        return strcmp(name, BXPN_RESET_ON_TRIPLE_FAULT) ? &no : &yes;
    }
};
static parameters answers;
bx_simulator_interface_c *SIM = &answers;

/* ---- Logs ------------------------------------------------------------------------------------------- */

logfunctions::logfunctions() {}
logfunctions::~logfunctions() {}
void logfunctions::put(const char *) {}
void logfunctions::put(const char *, const char *) {}

/* Bochs gives up: a guest has led it where it knows no way on. The simulator reports the crash with its place. */
static void give_up(const char *format, va_list arguments)
{
    fputs("reprise: Bochs gives up: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    abort();
}

void logfunctions::panic(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    give_up(format, arguments);
}

void logfunctions::fatal1(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    give_up(format, arguments);
}

/* ---- The clock, of which Bochs has no part ----------------------------------------------------------- */

static bool reset_wanted;

bx_pc_system_c::bx_pc_system_c()
{
    currCountdown = currCountdownPeriod = 0x7fffffff;
    ticksTotal = 0;
    HRQ = false;
    kill_bochs_request = false;
    enable_a20 = true;
    a20_mask = ~(bx_phy_address)0; /* port 0x92 and its kin are the board's; it has no A20 gate */
}

void bx_pc_system_c::countdownEvent() { currCountdown = currCountdownPeriod; }
int bx_pc_system_c::register_timer_ticks(void *, bx_timer_handler_t, Bit64u, bool, bool, const char *) { return 0; }
void bx_pc_system_c::activate_timer_ticks(unsigned, Bit64u, bool) {}
void bx_pc_system_c::deactivate_timer(unsigned) {}
void bx_pc_system_c::invlpg(bx_address) {}

int bx_pc_system_c::Reset(unsigned)
{
    reset_wanted = true;
    return 0;
}

bool surroundings_take_reset()
{
    bool wanted = reset_wanted;
    reset_wanted = false;
    return wanted;
}

/* ---- Ports ------------------------------------------------------------------------------------------ */

/* Bochs' own class has a dozen devices as members, which would have to be linked; the processor calls these two functions. */
class bx_devices_c {
public:
    Bit32u inp(Bit16u port, unsigned bytes);
    void outp(Bit16u port, Bit32u value, unsigned bytes);
    char room[1 << 16];
};
bx_devices_c bx_devices;

Bit32u bx_devices_c::inp(Bit16u port, unsigned bytes)
{
    return plugin_host.in(plugin_host.context, port, bytes);
}

void bx_devices_c::outp(Bit16u port, Bit32u value, unsigned bytes)
{
    plugin_host.out(plugin_host.context, port, value, bytes);
}

void surroundings_begin()
{
    bx_dbg.debugger_active = true; /* traces of one instruction: run() looks around before each */
}
