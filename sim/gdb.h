/* A debugging session in gdb's remote protocol (GDB manual, appendix E): packets go in, replies come out, and what gdb
 * wants of the machine's time comes out as a wish. Sockets and the run loop belong to others (sim/gdb_server.h).
 *
 * vCPUs are threads 1, 2, ...; all of them run and stop together. Breakpoints and watchpoints are stops of the machine
 * (core/stops.h): memory and debug registers never show them. */
#ifndef REPRISE_SIM_GDB_H
#define REPRISE_SIM_GDB_H

#include "core/vm.h"
#include "sim/gdb_packet.h"

/* What the guest is to do. */
enum gdb_wish { GDB_STAY, GDB_CONTINUE, GDB_STEP, GDB_BACK_CONTINUE, GDB_BACK_STEP, GDB_DETACH, GDB_KILL };

/* Why the guest stands still. Signals are gdb's numbers. */
enum { GDB_SIGNAL_INT = 2, GDB_SIGNAL_TRAP = 5, GDB_SIGNAL_SEGV = 11 };
struct gdb_stop {
    enum { GDB_STOP_SIGNAL, GDB_STOP_POINT, GDB_STOP_BEGIN, GDB_STOP_END, GDB_STOP_EXIT } kind;
    unsigned number;         /* GDB_STOP_SIGNAL: which; GDB_STOP_EXIT: the program's exit code */
    struct stop_point point; /* GDB_STOP_POINT */
};

/* For runs that can go back. */
struct gdb_time {
    void *context;
    /* Goes to an icount. False with a reason: it cannot be reached; the machine is then where it was. */
    bool (*seek)(void *context, u64 icount, char *message, size_t room);
    /* NULL if the guest's state may be changed from outside, else the reason that gdb's user is told. */
    const char *read_only;
};

struct gdb {
    struct vm *vm;
    const struct gdb_time *time; /* NULL: the run cannot go back */
    /* Sends a packet of its own, before the reply: console text. */
    void (*send)(void *context, const struct gdb_reply *packet);
    void *context;
    /* NULL, or called before gdb changes memory or registers. */
    void (*before_change)(void *context);
    void *change_context;
    struct stops stops;
    struct gdb_point {
        u64 linear;
        u32 length;
        u8 type; /* digit of the Z packet */
    } points[STOPS_MAX];
    unsigned point_count;
    unsigned thread;      /* index of the vCPU that packets are about */
    bool physical;        /* m and M are by physical address */
    bool swbreak, hwbreak; /* gdb understands these stop reasons */
    bool no_ack;          /* from the next packet on */
    struct gdb_stop stop; /* the last one */
    struct gdb_reply reply;
};

/* A session begins: the machine stands still, no stops are set. Callbacks and `time` are what they were. */
void gdb_begin(struct gdb *g, struct vm *vm);
/* Its stops, and what gdb sees, are another machine's from now on. */
void gdb_move(struct gdb *g, struct vm *to);
/* It ends: all stops go. */
void gdb_end(struct gdb *g);

/* Takes a packet. GDB_STAY: g->reply is the answer. Otherwise no answer but gdb_report(), when the guest stands
 * again; for GDB_DETACH and GDB_KILL, g->reply is the answer too, if it is not empty. Any bytes are taken. `data` is
 * followed by a zero byte. */
enum gdb_wish gdb_packet(struct gdb *g, const u8 *data, size_t length);

/* Makes g->reply the announcement of a stop. */
void gdb_report(struct gdb *g, const struct gdb_stop *stop);

/* Makes g->reply an error with a text (GDB manual, E.1 "Standard Replies"). */
void gdb_error(struct gdb *g, const char *text);

/* Shows text on gdb's console. */
void gdb_print(struct gdb *g, const char *text);

#endif
