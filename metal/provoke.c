#include "metal/provoke.h"

#include "core/host.h"
#include "metal/boot_info.h"
#include "metal/print.h"
#include "metal/timer.h"

enum { RET = 0xc3 };

extern u8 image_begin[];
static const u8 constant[16] = {1};
static u8 code_in_data[16] = {RET};

typedef void function(void);

/* The compiler must not know where a pointer points. */
static volatile u8 *hidden(u64 address)
{
    __asm__("" : "+r"(address));
    return (volatile u8 *)address;
}

static void call(u64 address)
{
    __asm__("" : "+r"(address));
    ((function *)address)();
}

static void null(void) { *hidden(8) = 1; }
static void text(void) { *hidden((u64)image_begin + 64) = 1; }
static void rodata(void) { *hidden((u64)constant) = 2; }
static void execute_data(void) { call((u64)code_in_data); }

static void execute_memory(void)
{
    u8 *memory = host_alloc(PAGE_SIZE);
    *memory = RET;
    call((u64)memory);
}

static struct host_exec exec_memory(void)
{
    struct host_exec memory = {.landing = NULL};
    if (host_exec_alloc(PAGE_SIZE, &memory) != STATUS_OK)
        print("no memory\n");
    *memory.rw = RET;
    call((u64)memory.rx); /* which is allowed */
    return memory;
}

static void write_executable(void) { *hidden((u64)exec_memory().rx) = 1; }
static void execute_writable(void) { call((u64)exec_memory().rw); }

static void guard(void)
{
    u8 *memory = host_alloc(2 * PAGE_SIZE);
    *memory = 1;
    (void)host_guard(memory + PAGE_SIZE, PAGE_SIZE);
    *hidden((u64)memory + PAGE_SIZE) = 1;
}

static void beyond(void)
{
    u8 *memory = host_alloc(PAGE_SIZE);
    *hidden((u64)memory + PAGE_SIZE) = 1;
}

static unsigned deeper(unsigned n)
{
    volatile u8 room[512];
    room[n % sizeof room] = (u8)n;
    return n == UINT32_MAX ? 0 : deeper(n + 1) + room[0];
}
static void stack(void) { (void)deeper(0); }

static void stuck(void)
{
    timer_alive(1);
    for (;;)
        __asm__ volatile("");
}

static const struct {
    const char *name;
    function *act;
} provocations[] = {
    {"provoke=null", null},
    {"provoke=text", text},
    {"provoke=rodata", rodata},
    {"provoke=execute-data", execute_data},
    {"provoke=execute-memory", execute_memory},
    {"provoke=write-executable", write_executable},
    {"provoke=execute-writable", execute_writable},
    {"provoke=guard", guard},
    {"provoke=beyond", beyond},
    {"provoke=stack", stack},
    {"provoke=stuck", stuck},
};

void provoke(const char *command_line)
{
    while (*command_line) {
        size_t length = 0;
        while (command_line[length] && command_line[length] != ' ')
            length++;
        for (unsigned n = 0; n < ARRAY_LEN(provocations); n++)
            if (strlen(provocations[n].name) == length && !memcmp(provocations[n].name, command_line, length)) {
                provocations[n].act();
                print("reprise: nothing forbade it\n");
            }
        command_line += length + (command_line[length] == ' ');
    }
}
