/* A session by its packets: what each answers, and that hostile ones get an error and nothing else. */
#include "sim/gdb.h"

#include "sbe/test_code.h"
#include "sim/gdb_registers.h"

#include <stdio.h>

static struct gdb gdb;
static char console[1 << 16];

static void send(void *context, const struct gdb_reply *packet)
{
    (void)context;
    struct gdb_text t = {packet->data, packet->data + packet->used};
    assert_true(gdb_eat(&t, "O"));
    size_t used = strlen(console), bytes = gdb_left(&t) / 2;
    assert_true(used + bytes < sizeof console);
    assert_true(gdb_eat_hex(&t, console + used, bytes));
    console[used + bytes] = 0;
}

static int begin(void **state)
{
    (void)state;
    enter(CODE_32);
    gdb = (struct gdb){.send = send};
    gdb_begin(&gdb, vm);
    console[0] = 0;
    return 0;
}

static int finish(void **state)
{
    (void)state;
    gdb_end(&gdb);
    return 0;
}

static enum gdb_wish ask(const char *packet)
{
    enum gdb_wish wish = gdb_packet(&gdb, (const u8 *)packet, strlen(packet));
    gdb.reply.data[gdb.reply.used < GDB_PACKET_MAX ? gdb.reply.used : GDB_PACKET_MAX - 1] = 0;
    return wish;
}

static void expect(const char *packet, const char *answer)
{
    assert_int_equal(ask(packet), GDB_STAY);
    if (strcmp((const char *)gdb.reply.data, answer))
        fail_msg("%s: \"%s\" instead of \"%s\"", packet, gdb.reply.data, answer);
}

static void expect_error(const char *packet)
{
    assert_int_equal(ask(packet), GDB_STAY);
    if (gdb.reply.data[0] != 'E')
        fail_msg("%s: \"%s\" is no error", packet, gdb.reply.data);
}

static void memory(void **state)
{
    (void)state;
    PUT(DATA, 1, 2, 3, 4);
    expect("m20000,4", "01020304");
    expect("M20001,2:aabb", "OK");
    expect("m20000,4", "01aabb04");
    expect("X20000,2:zy", "OK");
    expect("m20000,2", "7a79");
    expect("m100020000,2", "7a79"); /* 32-bit linear addresses wrap */
    expect("mfee00000,4", "E0e");   /* a device is not touched */
    expect("m9ffff,2", "00");       /* what there is: the rest is not RAM */
    expect("m20000,0", "");
    expect_error("mb8000,1");
    expect_error("m");
    expect_error("m20000");
    expect_error("M20000,2:aa");
    expect_error("M20000,1:xy");
    expect_error("Mfee00000,1:00");
    expect_error("X20000,5:ab");
    expect_error("X20000,ffffffffffffffff:ab");
    ask("m0,ffffffffffffffff");
    assert_true(gdb.reply.used <= GDB_PACKET_MAX);
}

static void memory_by_physical_address(void **state)
{
    (void)state;
    enter(CODE_64);
    PUT(HOLE + 0x10, 0x5a);
    expect("m100010,1", "E0e"); /* not mapped */
    expect("m8000000000000000,1", "E0e");
    expect("Qqemu.PhyMemMode:1", "OK");
    expect("qqemu.PhyMemMode", "1");
    expect("m100010,1", "5a");
    expect("Qqemu.PhyMemMode:0", "OK");
    expect("m100010,1", "E0e");
}

/* A write through gdb is a write like any other: decoded code follows. */
static void written_code_is_executed(void **state)
{
    (void)state;
    PUT(CODE, 0x40, 0xeb, 0xfd); /* inc eax; jmp CODE */
    assert_int_equal(vm_run(vm, v->cpu.icount + 10), VM_STOP_ICOUNT);
    expect("M1000,1:43", "OK"); /* inc ebx */
    u64 eax = v->cpu.gpr[RAX], ebx = v->cpu.gpr[RBX];
    assert_int_equal(vm_run(vm, v->cpu.icount + 10), VM_STOP_ICOUNT);
    assert_int_equal(v->cpu.gpr[RAX], eax);
    assert_int_equal(v->cpu.gpr[RBX], ebx + 5);
}

static unsigned find_register(const char *name)
{
    char wanted[40];
    snprintf(wanted, sizeof wanted, "<reg name=\"%s\"", name);
    const char *found = strstr(gdb_target_xml(), wanted);
    assert_non_null(found);
    unsigned n = 0;
    for (const char *at = gdb_target_xml(); (at = strstr(at, "<reg ")) && at < found; at++)
        n++;
    return n;
}

static void registers(void **state)
{
    (void)state;
    char packet[80];
    set(RBX, 0x1122334455667788);
    expect("p1", "8877665544332211");
    expect("P1=0100000000000000", "OK");
    assert_reg(RBX, 1);
    snprintf(packet, sizeof packet, "P%x=ffffffff", find_register("eflags"));
    expect(packet, "OK");
    assert_int_equal(cpu_rflags(&v->cpu) & (FLAG_VM | FLAG_FIXED | FLAG_TF), FLAG_FIXED | FLAG_TF);
    snprintf(packet, sizeof packet, "P%x=ffffffff", find_register("mxcsr"));
    expect(packet, "OK"); /* reserved bits would fault when the unit takes them */
    snprintf(packet, sizeof packet, "P%x=0000000000000080", find_register("fs_base"));
    expect_error(packet);
    snprintf(packet, sizeof packet, "P%x=0000000000000000", find_register("cr0"));
    expect_error(packet);
    expect_error("p");
    expect_error("pffff");
    expect_error("P0");
    expect_error("P0=00");
    expect_error("Gzz");
    assert_int_equal(ask("g"), GDB_STAY);
    unsigned bytes = 0;
    for (unsigned n = 0; n < gdb_registers(); n++)
        bytes += gdb_register_size(n);
    assert_int_equal(gdb.reply.used, 2 * bytes);
    static char all[GDB_PACKET_MAX + 2];
    snprintf(all, sizeof all, "G%s", gdb.reply.data);
    struct cpu before = v->cpu;
    expect(all, "OK");
    assert_memory_equal(&before, &v->cpu, sizeof before);
}

static void points_come_and_go(void **state)
{
    (void)state;
    expect("Z0,1000,1", "OK");
    expect("Z0,1000,1", "OK"); /* the same again */
    assert_int_equal(gdb.stops.count, 1);
    expect("Z1,1000,1", "OK");
    expect("Z2,20000,8", "OK");
    expect("Z3,20000,8", "OK");
    expect("Z4,20000,8", "OK");
    assert_int_equal(gdb.stops.count, 5);
    expect("z2,20000,8", "OK");
    expect("z2,20000,8", "OK");
    expect("z0,1000,1", "OK");
    assert_int_equal(gdb.stops.count, 3);
    expect("Z5,0,0", "");
    expect_error("Z0");
    expect_error("Z0,");
    expect_error("Z2,20000,0");
    expect_error("Z2,20000,1001");
    char packet[40];
    for (unsigned n = 0; n < STOPS_MAX - 3; n++) {
        snprintf(packet, sizeof packet, "Z0,%x,1", 0x5000 + n);
        expect(packet, "OK");
    }
    expect_error("Z0,4000,1");
    gdb_end(&gdb);
    assert_int_equal(gdb.stops.count, 0);
    gdb_begin(&gdb, vm);
}

static void reports(void **state)
{
    (void)state;
    struct gdb_stop stop = {.kind = GDB_STOP_POINT, .point = {0x1000, 1, STOP_EXECUTE}};
    v->cpu.rip = 0x1000;
    expect("?", "T05thread:1;");
    expect("Z0,1000,1", "OK");
    gdb_report(&gdb, &stop);
    expect("?", "T05thread:1;"); /* gdb has not said that it knows swbreak */
    ask("qSupported:swbreak+;hwbreak+");
    expect("?", "T05thread:1;swbreak:;");
    v->cpu.rip = stop.point.linear = 0x2000;
    gdb_report(&gdb, &stop);
    v->cpu.rip = 0; /* a segment base lies between */
    gdb_report(&gdb, &stop);
    expect("?", "T05thread:1;");
    v->cpu.rip = 0x2000;
    gdb_report(&gdb, &stop);
    expect("?", "T05thread:1;hwbreak:;");
    stop.point = (struct stop_point){0x20004, 4, STOP_WRITE};
    gdb_report(&gdb, &stop);
    expect("?", "T05thread:1;watch:20004;");
    gdb_report(&gdb, &(struct gdb_stop){.kind = GDB_STOP_SIGNAL, .number = GDB_SIGNAL_INT});
    expect("?", "T02thread:1;");
    gdb_report(&gdb, &(struct gdb_stop){.kind = GDB_STOP_BEGIN});
    expect("?", "T05thread:1;replaylog:begin;");
    gdb_report(&gdb, &(struct gdb_stop){.kind = GDB_STOP_EXIT, .number = 0x101});
    expect("?", "W01");
}

static void wishes(void **state)
{
    (void)state;
    static const struct {
        const char *packet;
        enum gdb_wish wish;
    } cases[] = {
        {"c", GDB_CONTINUE}, {"s", GDB_STEP}, {"C05", GDB_CONTINUE}, {"S05", GDB_STEP}, {"vCont;c", GDB_CONTINUE},
        {"vCont;s:1;c", GDB_STEP}, {"vCont;C05;s:1", GDB_STEP}, {"D", GDB_DETACH}, {"k", GDB_KILL},
        {"vKill;1", GDB_KILL},
    };
    for (unsigned n = 0; n < ARRAY_LEN(cases); n++)
        assert_int_equal(ask(cases[n].packet), cases[n].wish);
    assert_int_equal(ask("c2000"), GDB_CONTINUE);
    assert_int_equal(v->cpu.rip, 0x2000);
    expect_error("vCont");
    expect_error("vCont;");
    expect_error("vCont;x");
    expect_error("bc"); /* nobody to go back with */
    expect_error("bs");
}

static void going_back(void **state)
{
    (void)state;
    const struct gdb_time time = {.read_only = "read only"};
    gdb.time = &time;
    assert_int_equal(ask("bc"), GDB_BACK_CONTINUE);
    assert_int_equal(ask("bs"), GDB_BACK_STEP);
    expect_error("bx");
    expect_error("P1=0100000000000000");
    expect_error("M20000,1:00");
    expect_error("G00");
    expect_error("c2000");
    ask("qSupported:");
    assert_non_null(strstr((const char *)gdb.reply.data, "ReverseStep+;ReverseContinue+"));
    gdb.time = NULL;
    ask("qSupported:");
    assert_null(strstr((const char *)gdb.reply.data, "Reverse"));
}

static void questions(void **state)
{
    (void)state;
    expect("", "");
    expect("unknown", "");
    expect("vMustReplyEmpty", "");
    expect("qfThreadInfo", "m1");
    expect("qsThreadInfo", "l");
    expect("qC", "QC1");
    expect("T1", "OK");
    expect_error("T2");
    expect_error("T0");
    expect("Hg1", "OK");
    expect("Hc-1", "OK");
    expect("Hg0", "OK");
    expect("H", "OK");
    expect_error("Hgff");
    expect("qThreadExtraInfo,1", "7643505520302c2043504c20302c2072756e6e696e67");
    expect_error("qThreadExtraInfo,7");
    expect("qAttached", "1");
    expect("vCont?", "vCont;c;C;s;S");
    expect("QStartNoAckMode", "OK");
    expect("qXfer:features:read:other.xml:0,10", "");
    expect_error("qXfer:features:read:target.xml:");
    expect("qXfer:features:read:target.xml:0,5", "m<?xml");
    expect("qXfer:features:read:target.xml:ffffffff,5", "l");
}

static void monitor(const char *line)
{
    static char packet[4096];
    int used = sprintf(packet, "qRcmd,");
    for (; *line; line++)
        used += sprintf(packet + used, "%02x", (u8)*line);
    console[0] = 0;
    expect(packet, "OK");
}

static void monitor_commands(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"help", "disassemble"}, {"icount", "icount "}, {"hash", "state hash "}, {"info registers", "rip 0000"},
        {"registers", "cr0"}, {"devices", "8259A master"}, {"tlb 0x20000", "0000020000"}, {"tlb", "entries"},
        {"phys on", "physical"},
        {"phys off", "virtual"}, {"phys maybe", "wants"}, {"seek 1", "not recorded"}, {"seek", "wants an icount"},
        {"disassemble 0x1000 2", "0000:00001000"}, {"nonsense", "no command"}, {"", "no command"}, {"  ic", "icount "},
        {"disassemble 0xfffffffffffffff0 1000", ":"}, {"tlb 0xffffffffffffffff", "ffffffff"},
    };
    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        monitor(cases[n].line);
        if (!strstr(console, cases[n].says))
            fail_msg("monitor %s: \"%s\"", cases[n].line, console);
    }
    expect_error("qRcmd,zz");
    static char packet[4096] = "qRcmd,";
    memset(packet + 6, '6', 4000);
    expect_error(packet);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        T(memory), T(memory_by_physical_address), T(written_code_is_executed), T(registers), T(points_come_and_go),
        T(reports), T(wishes), T(going_back), T(questions), T(monitor_commands),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
