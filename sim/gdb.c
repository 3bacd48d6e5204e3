#include "sim/gdb.h"

#include "core/segment.h"
#include "mmu/access.h"
#include "sim/gdb_monitor.h"
#include "sim/gdb_registers.h"

#include <stdio.h>
#include <string.h>

enum { MONITOR_MAX = 1024, PRINT_BYTES = 4096 };

static struct vcpu *current(const struct gdb *g) { return g->vm->vcpu[g->thread]; }

static void answer(struct gdb *g, const char *text)
{
    g->reply.used = 0;
    g->reply.full = false;
    gdb_put(&g->reply, text);
}

void gdb_error(struct gdb *g, const char *text)
{
    answer(g, "E.");
    gdb_put(&g->reply, text);
}

void gdb_print(struct gdb *g, const char *text)
{
    static struct gdb_reply packet;
    for (size_t left = strlen(text), part; left; left -= part, text += part) {
        part = left < PRINT_BYTES ? left : PRINT_BYTES;
        packet = (struct gdb_reply){0};
        gdb_put(&packet, "O");
        gdb_put_hex(&packet, text, part);
        if (g->send)
            g->send(g->context, &packet);
    }
}

void gdb_begin(struct gdb *g, struct vm *vm)
{
    g->vm = vm;
    g->stops = (struct stops){.passed = UINT64_MAX};
    g->point_count = g->thread = 0;
    g->physical = g->swbreak = g->hwbreak = g->no_ack = false;
    g->stop = (struct gdb_stop){.kind = GDB_STOP_SIGNAL, .number = GDB_SIGNAL_TRAP};
    vm->stops = &g->stops;
}

void gdb_move(struct gdb *g, struct vm *to)
{
    bool active = g->vm->stops == &g->stops;
    if (active)
        g->vm->stops = NULL;
    g->vm = to;
    if (!active)
        return;
    to->stops = &g->stops;
    g->stops.hit = false;
    stops_renew(to);
}

void gdb_end(struct gdb *g)
{
    stops_clear(g->vm);
    g->point_count = 0;
    g->vm->stops = NULL;
}

/* ---- Stops -------------------------------------------------------------------------------------- */

static const struct gdb_point *point_of_type(const struct gdb *g, u64 linear, u8 type)
{
    for (unsigned n = 0; n < g->point_count; n++)
        if (g->points[n].linear == linear && g->points[n].type == type)
            return &g->points[n];
    return NULL;
}

/* gdb passes over a breakpoint that it is told of where RIP is none of its breakpoints' addresses: behind segment
 * bases, a plain SIGTRAP stops it. */
static void put_point(struct gdb *g, const struct stop_point *p)
{
    static const char *const data[STOP_KINDS] = {
        [STOP_WRITE] = "watch:", [STOP_READ] = "rwatch:", [STOP_ACCESS] = "awatch:"};
    if (p->kind != STOP_EXECUTE) {
        gdb_put(&g->reply, data[p->kind]);
        gdb_put_number(&g->reply, p->linear);
        gdb_put(&g->reply, ";");
    } else if (p->linear != current(g)->cpu.rip) {
        return;
    } else if (point_of_type(g, p->linear, 0)) {
        gdb_put(&g->reply, g->swbreak ? "swbreak:;" : "");
    } else {
        gdb_put(&g->reply, g->hwbreak ? "hwbreak:;" : "");
    }
}

void gdb_report(struct gdb *g, const struct gdb_stop *stop)
{
    char text[40];
    g->stop = *stop;
    if (stop->kind == GDB_STOP_EXIT) {
        snprintf(text, sizeof text, "W%02x", stop->number & 0xff);
        answer(g, text);
        return;
    }
    unsigned signal = stop->kind == GDB_STOP_SIGNAL ? stop->number : GDB_SIGNAL_TRAP;
    snprintf(text, sizeof text, "T%02xthread:%x;", signal, g->thread + 1);
    answer(g, text);
    if (stop->kind == GDB_STOP_POINT)
        put_point(g, &stop->point);
    if (stop->kind == GDB_STOP_BEGIN || stop->kind == GDB_STOP_END)
        gdb_put(&g->reply, stop->kind == GDB_STOP_BEGIN ? "replaylog:begin;" : "replaylog:end;");
}

/* Z packets may come twice; the machine hears of the first. */
static bool point_insert(struct gdb *g, struct gdb_point p, enum stop_kind kind)
{
    const struct gdb_point *have = point_of_type(g, p.linear, p.type);
    if (have && have->length == p.length)
        return true;
    if (!stops_add(g->vm, (struct stop_point){.linear = p.linear, .length = p.length, .kind = kind}))
        return false;
    g->points[g->point_count++] = p;
    return true;
}

static void point_delete(struct gdb *g, struct gdb_point p, enum stop_kind kind)
{
    for (unsigned n = 0; n < g->point_count; n++) {
        struct gdb_point *at = &g->points[n];
        if (at->linear != p.linear || at->length != p.length || at->type != p.type)
            continue;
        stops_remove(g->vm, (struct stop_point){.linear = p.linear, .length = p.length, .kind = kind});
        *at = g->points[--g->point_count];
        return;
    }
}

static u64 linear_mask(const struct gdb *g) { return cpu_long(&current(g)->cpu) ? UINT64_MAX : UINT32_MAX; }

/* Z and z: TYPE,ADDRESS,KIND */
static void points(struct gdb *g, struct gdb_text t, bool insert)
{
    static const enum stop_kind kinds[] = {STOP_EXECUTE, STOP_EXECUTE, STOP_WRITE, STOP_READ, STOP_ACCESS};
    u64 type, linear, length;
    if (!gdb_eat_number(&t, &type) || !gdb_eat(&t, ",") || !gdb_eat_number(&t, &linear) || !gdb_eat(&t, ",") ||
        !gdb_eat_number(&t, &length)) {
        gdb_error(g, "malformed breakpoint");
        return;
    }
    answer(g, "");
    if (type >= ARRAY_LEN(kinds))
        return; /* unknown: the empty answer */
    if (kinds[type] != STOP_EXECUTE && (!length || length > STOP_LENGTH_MAX)) {
        gdb_error(g, "a watchpoint covers 1 to 4096 bytes");
        return;
    }
    struct gdb_point p = {.linear = linear & linear_mask(g), .type = (u8)type,
                          .length = kinds[type] == STOP_EXECUTE ? 1 : (u32)length};
    if (!insert)
        point_delete(g, p, kinds[type]);
    else if (!point_insert(g, p, kinds[type])) {
        gdb_error(g, "no room for another breakpoint");
        return;
    }
    answer(g, "OK");
}

/* ---- Memory ------------------------------------------------------------------------------------- */

/* The part of [at, at + *count) in at's page, if it is RAM. Devices are left alone: reading one may change it. */
static bool locate(const struct gdb *g, u64 at, size_t *count, gpa_t *where)
{
    size_t room = PAGE_SIZE - (at & PAGE_MASK);
    if (*count > room)
        *count = room;
    *where = gpa(at);
    if (!g->physical) {
        u64 linear = at & linear_mask(g);
        if (!canonical(linear) || !mem_translate_debug(current(g), linear, where))
            return false;
    }
    return physmem_pointer(&g->vm->memory, *where);
}

static void memory_read(struct gdb *g, struct gdb_text t)
{
    u64 at, count;
    if (!gdb_eat_number(&t, &at) || !gdb_eat(&t, ",") || !gdb_eat_number(&t, &count)) {
        answer(g, "E16");
        return;
    }
    answer(g, "");
    if (count > GDB_PACKET_MAX / 2)
        count = GDB_PACKET_MAX / 2;
    for (size_t done = 0, part; done < count; done += part) {
        gpa_t where;
        part = count - done;
        if (!locate(g, at + done, &part, &where))
            break; /* what there is */
        gdb_put_hex(&g->reply, physmem_pointer(&g->vm->memory, where), part);
    }
    if (count && !g->reply.used)
        answer(g, "E0e"); /* gdb takes no text here */
}

static bool may_write(struct gdb *g)
{
    if (g->time && g->time->read_only) {
        gdb_error(g, g->time->read_only);
        return false;
    }
    if (g->before_change)
        g->before_change(g->change_context);
    return true;
}

static bool memory_store(struct gdb *g, u64 at, const u8 *from, size_t count)
{
    for (size_t done = 0, part; done < count; done += part) {
        gpa_t where;
        part = count - done;
        if (!locate(g, at + done, &part, &where))
            return false;
        phys_write(g->vm, where, from + done, (unsigned)part);
    }
    return true;
}

/* M and X: ADDRESS,COUNT:DATA */
static void memory_write(struct gdb *g, struct gdb_text t, bool binary)
{
    static u8 bytes[GDB_PACKET_MAX];
    u64 at, count;
    bool good = gdb_eat_number(&t, &at) && gdb_eat(&t, ",") && gdb_eat_number(&t, &count) && gdb_eat(&t, ":") &&
                count <= (binary ? gdb_left(&t) : gdb_left(&t) / 2);
    if (!good || (!binary && !gdb_eat_hex(&t, bytes, count))) {
        gdb_error(g, "malformed memory write");
        return;
    }
    if (count && !may_write(g))
        return;
    if (memory_store(g, at, binary ? t.at : bytes, count))
        answer(g, "OK");
    else
        gdb_error(g, "not mapped, or not RAM");
}

/* ---- Registers ---------------------------------------------------------------------------------- */

static void registers_read(struct gdb *g)
{
    answer(g, "");
    for (unsigned n = 0; n < gdb_registers(); n++) {
        u8 bytes[GDB_REGISTER_BYTES_MAX];
        gdb_register_read(current(g), n, bytes);
        gdb_put_hex(&g->reply, bytes, gdb_register_size(n));
    }
}

/* Those that only the guest may change are passed over: gdb writes all to change one. */
static void registers_write(struct gdb *g, struct gdb_text t)
{
    if (!may_write(g))
        return;
    for (unsigned n = 0; n < gdb_registers() && gdb_left(&t); n++) {
        u8 bytes[GDB_REGISTER_BYTES_MAX];
        if (!gdb_eat_hex(&t, bytes, gdb_register_size(n))) {
            gdb_error(g, "malformed registers");
            return;
        }
        gdb_register_write(current(g), n, bytes);
    }
    answer(g, "OK");
}

static bool register_number(struct gdb *g, struct gdb_text *t, u64 *n)
{
    if (gdb_eat_number(t, n) && *n < gdb_registers())
        return true;
    answer(g, "E16"); /* gdb takes no text here */
    return false;
}

static void register_read(struct gdb *g, struct gdb_text t)
{
    u8 bytes[GDB_REGISTER_BYTES_MAX];
    u64 n;
    if (!register_number(g, &t, &n))
        return;
    gdb_register_read(current(g), (unsigned)n, bytes);
    answer(g, "");
    gdb_put_hex(&g->reply, bytes, gdb_register_size((unsigned)n));
}

static void register_write(struct gdb *g, struct gdb_text t)
{
    u8 bytes[GDB_REGISTER_BYTES_MAX];
    u64 n;
    if (!register_number(g, &t, &n))
        return;
    if (!gdb_eat(&t, "=") || !gdb_eat_hex(&t, bytes, gdb_register_size((unsigned)n)))
        gdb_error(g, "malformed register");
    else if (may_write(g)) {
        if (gdb_register_write(current(g), (unsigned)n, bytes))
            answer(g, "OK");
        else
            gdb_error(g, "only the guest can change this register, or not to this value");
    }
}

/* ---- Questions and settings --------------------------------------------------------------------- */

static bool thread_exists(const struct gdb *g, struct gdb_text t)
{
    u64 id;
    return gdb_eat_number(&t, &id) && id - 1 < g->vm->vcpu_count;
}

/* H and a letter: "-1" means all, 0 any. */
static void select_thread(struct gdb *g, struct gdb_text t)
{
    u64 id;
    if (t.at < t.end)
        t.at++;
    answer(g, "OK");
    if (gdb_eat(&t, "-1") || !gdb_eat_number(&t, &id) || id == 0)
        return;
    if (id > g->vm->vcpu_count)
        gdb_error(g, "no such thread");
    else
        g->thread = (unsigned)id - 1;
}

static void supported(struct gdb *g, struct gdb_text t)
{
    g->swbreak = strstr((const char *)t.at, "swbreak+");
    g->hwbreak = strstr((const char *)t.at, "hwbreak+");
    answer(g, "PacketSize=");
    gdb_put_number(&g->reply, GDB_PACKET_MAX);
    gdb_put(&g->reply, ";qXfer:features:read+;swbreak+;hwbreak+;vContSupported+;QStartNoAckMode+");
    if (g->time)
        gdb_put(&g->reply, ";ReverseStep+;ReverseContinue+");
}

/* qXfer:features:read:target.xml:OFFSET,COUNT */
static void describe_target(struct gdb *g, struct gdb_text t)
{
    const char *xml = gdb_target_xml();
    u64 at, count, size = strlen(xml);
    if (!gdb_eat_number(&t, &at) || !gdb_eat(&t, ",") || !gdb_eat_number(&t, &count)) {
        gdb_error(g, "malformed request");
        return;
    }
    if (at > size)
        at = size;
    if (count > GDB_PACKET_MAX / 2)
        count = GDB_PACKET_MAX / 2;
    bool more = count < size - at;
    answer(g, more ? "m" : "l");
    gdb_put_binary(&g->reply, xml + at, more ? count : size - at);
}

static void list_threads(struct gdb *g)
{
    answer(g, "m");
    for (unsigned n = 0; n < g->vm->vcpu_count; n++) {
        gdb_put(&g->reply, n ? "," : "");
        gdb_put_number(&g->reply, n + 1);
    }
}

static void describe_thread(struct gdb *g, struct gdb_text t)
{
    static const char *const activities[] = {"running", "halted", "shut down"};
    u64 id;
    if (!gdb_eat_number(&t, &id) || id - 1 >= g->vm->vcpu_count) {
        gdb_error(g, "no such thread");
        return;
    }
    const struct cpu *c = &g->vm->vcpu[id - 1]->cpu;
    char text[80];
    int n = snprintf(text, sizeof text, "vCPU %u, CPL %u, %s", (unsigned)id - 1, c->cpl, activities[c->activity % 3]);
    answer(g, "");
    gdb_put_hex(&g->reply, text, (size_t)n);
}

static void monitor(struct gdb *g, struct gdb_text t)
{
    char line[MONITOR_MAX] = "";
    size_t length = gdb_left(&t) / 2;
    if (length >= sizeof line || !gdb_eat_hex(&t, line, length)) {
        gdb_error(g, "malformed monitor command");
        return;
    }
    answer(g, "OK");
    gdb_monitor(g, line);
}

static void query(struct gdb *g, struct gdb_text t)
{
    answer(g, "");
    if (gdb_eat(&t, "Supported"))
        supported(g, t);
    else if (gdb_eat(&t, "Xfer:features:read:target.xml:"))
        describe_target(g, t);
    else if (gdb_eat(&t, "fThreadInfo"))
        list_threads(g);
    else if (gdb_eat(&t, "sThreadInfo"))
        answer(g, "l");
    else if (gdb_eat(&t, "ThreadExtraInfo,"))
        describe_thread(g, t);
    else if (gdb_eat(&t, "Attached"))
        answer(g, "1");
    else if (gdb_eat(&t, "Symbol:"))
        answer(g, "OK");
    else if (gdb_eat(&t, "Rcmd,"))
        monitor(g, t);
    else if (gdb_eat(&t, "qemu.PhyMemMode"))
        answer(g, g->physical ? "1" : "0");
    else if (gdb_eat(&t, "C") && !gdb_left(&t)) {
        answer(g, "QC");
        gdb_put_number(&g->reply, g->thread + 1);
    }
}

static void setting(struct gdb *g, struct gdb_text t)
{
    answer(g, "");
    if (gdb_eat(&t, "StartNoAckMode")) {
        g->no_ack = true;
        answer(g, "OK");
    } else if (gdb_eat(&t, "qemu.PhyMemMode:")) {
        g->physical = gdb_eat(&t, "1");
        answer(g, "OK");
    }
}

/* ---- Wishes ------------------------------------------------------------------------------------- */

/* Signals are not delivered to guests: C and S are c and s. */
static enum gdb_wish wish_of(u8 letter)
{
    switch (letter) {
    case 'c':
    case 'C': return GDB_CONTINUE;
    case 's':
    case 'S': return GDB_STEP;
    default: return GDB_STAY;
    }
}

/* vCont;ACTION[:THREAD]...: all vCPUs go together, so any step is a step. */
static enum gdb_wish resume_threads(struct gdb *g, struct gdb_text t)
{
    enum gdb_wish wish = GDB_STAY;
    while (gdb_eat(&t, ";") && gdb_left(&t)) {
        enum gdb_wish one = wish_of(*t.at);
        if (one == GDB_STAY) {
            gdb_error(g, "unknown action in vCont");
            return GDB_STAY;
        }
        wish = wish == GDB_STEP ? wish : one;
        while (t.at < t.end && *t.at != ';')
            t.at++;
    }
    if (wish == GDB_STAY)
        gdb_error(g, "vCont without an action");
    return wish;
}

/* c and s, perhaps with the address to go on at. */
static enum gdb_wish resume(struct gdb *g, enum gdb_wish wish, struct gdb_text t)
{
    u64 rip;
    if (gdb_eat_number(&t, &rip)) {
        if (!may_write(g))
            return GDB_STAY;
        current(g)->cpu.rip = rip & current(g)->rip_mask;
        vcpu_update_mode(current(g));
    }
    return wish;
}

static enum gdb_wish backwards(struct gdb *g, struct gdb_text t)
{
    if (!g->time) {
        gdb_error(g, "this run is not recorded: it cannot go back");
        return GDB_STAY;
    }
    if (gdb_eat(&t, "c"))
        return GDB_BACK_CONTINUE;
    if (gdb_eat(&t, "s"))
        return GDB_BACK_STEP;
    gdb_error(g, "bc or bs");
    return GDB_STAY;
}

static enum gdb_wish verbose(struct gdb *g, struct gdb_text t)
{
    if (gdb_eat(&t, "Cont?")) {
        answer(g, "vCont;c;C;s;S");
        return GDB_STAY;
    }
    if (gdb_eat(&t, "Cont"))
        return resume_threads(g, t);
    if (gdb_eat(&t, "Kill")) {
        answer(g, "OK");
        return GDB_KILL;
    }
    if (gdb_eat(&t, "MustReplyEmpty"))
        answer(g, "");
    return GDB_STAY;
}

enum gdb_wish gdb_packet(struct gdb *g, const u8 *data, size_t length)
{
    struct gdb_text t = {data, data + length};
    answer(g, "");
    if (!length)
        return GDB_STAY;
    switch (*t.at++) {
    case 'q': query(g, t); return GDB_STAY;
    case 'Q': setting(g, t); return GDB_STAY;
    case 'v': return verbose(g, t);
    case '?': gdb_report(g, &g->stop); return GDB_STAY;
    case 'g': registers_read(g); return GDB_STAY;
    case 'G': registers_write(g, t); return GDB_STAY;
    case 'p': register_read(g, t); return GDB_STAY;
    case 'P': register_write(g, t); return GDB_STAY;
    case 'm': memory_read(g, t); return GDB_STAY;
    case 'M': memory_write(g, t, false); return GDB_STAY;
    case 'X': memory_write(g, t, true); return GDB_STAY;
    case 'Z': points(g, t, true); return GDB_STAY;
    case 'z': points(g, t, false); return GDB_STAY;
    case 'H': select_thread(g, t); return GDB_STAY;
    case 'T':
        if (thread_exists(g, t))
            answer(g, "OK");
        else
            gdb_error(g, "no such thread");
        return GDB_STAY;
    case 'c': return resume(g, GDB_CONTINUE, t);
    case 's': return resume(g, GDB_STEP, t);
    case 'C':
    case 'S': return wish_of(data[0]);
    case 'b': return backwards(g, t);
    case 'D': answer(g, "OK"); return GDB_DETACH;
    case 'k': return GDB_KILL;
    default: return GDB_STAY;
    }
}
