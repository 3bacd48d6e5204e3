#include "sim/gdb_server.h"

#include "sim/host_linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_MS = 1000, READ_BYTES = 4096 };

struct gdb_server {
    int listener, client; /* client: -1 if none */
    struct sockaddr_un path; /* to be removed in the end; sun_path empty if TCP */
    struct vm *vm;
    bool waiting; /* a reply to a resumption is owed */
    u64 until;    /* the icount up to which gdb steps; UINT64_MAX: it does not */
    gdb_wish_filter *on_wish;
    void *wish_context;
    struct gdb gdb;
    struct gdb_framer framer;
    size_t frame_bytes;
    u8 frame[GDB_FRAME_MAX]; /* the last packet sent, for retransmission */
    size_t at, count;
    u8 bytes[READ_BYTES]; /* read, not yet looked at */
};

/* ---- Listening ---------------------------------------------------------------------------------- */

static int listen_unix(const char *path, struct gdb_server *s, char *message)
{
    s->path.sun_family = AF_UNIX;
    if (!*path || strlen(path) >= sizeof s->path.sun_path) {
        snprintf(message, GDB_MESSAGE_MAX, "--gdb: \"%.80s\" is too short or too long for a socket; choose another", path);
        return -1;
    }
    strcpy(s->path.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&s->path, sizeof s->path) && !listen(fd, 1))
        return fd;
    snprintf(message, GDB_MESSAGE_MAX, "--gdb: %.100s: %s; remove it, or choose another path", path, strerror(errno));
    s->path.sun_path[0] = 0; /* not ours */
    if (fd >= 0)
        close(fd);
    return -1;
}

static int listen_tcp(const char *where, unsigned *port, char *message)
{
    char *end;
    unsigned long wanted = strtoul(where, &end, 10);
    if (!*where || *end || wanted > 65535) {
        snprintf(message, GDB_MESSAGE_MAX, "--gdb: \"%.80s\" is no port; write for example 1234, or unix:PATH", where);
        return -1;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((u16)wanted),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 1) ||
        getsockname(fd, (struct sockaddr *)&address, &size)) {
        snprintf(message, GDB_MESSAGE_MAX, "--gdb: port %lu: %s; choose another port", wanted, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

bool gdb_server_open(const char *where, struct vm *vm, const struct gdb_time *time, struct gdb_server **server,
                     char message[GDB_MESSAGE_MAX])
{
    struct gdb_server *s = calloc(1, sizeof *s);
    unsigned port = 0;
    if (!s) {
        snprintf(message, GDB_MESSAGE_MAX, "--gdb: no memory; stop other programs");
        return false;
    }
    bool is_unix = !strncmp(where, "unix:", 5);
    s->listener = is_unix ? listen_unix(where + 5, s, message) : listen_tcp(where, &port, message);
    s->client = -1;
    s->vm = vm;
    s->until = 0; /* gdb comes first */
    s->gdb.time = time;
    if (s->listener < 0) {
        free(s);
        return false;
    }
    if (is_unix)
        fprintf(stderr, "reprise: waiting for gdb; in gdb: target remote %s\n", where + 5);
    else
        fprintf(stderr, "reprise: waiting for gdb; in gdb: target remote localhost:%u\n", port);
    *server = s;
    return true;
}

static void drop_client(struct gdb_server *s)
{
    if (s->client < 0)
        return;
    close(s->client);
    s->client = -1;
    s->at = s->count = 0;
    s->until = UINT64_MAX;
    gdb_end(&s->gdb);
}

void gdb_server_close(struct gdb_server *s)
{
    drop_client(s);
    close(s->listener);
    if (s->path.sun_path[0])
        unlink(s->path.sun_path);
    free(s);
}

/* ---- Bytes -------------------------------------------------------------------------------------- */

static void send_bytes(struct gdb_server *s, const u8 *from, size_t bytes)
{
    while (bytes) {
        ssize_t n = send(s->client, from, bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR && !host_stop_requested())
            continue;
        if (n <= 0)
            return; /* reading will find the end */
        from += n;
        bytes -= (size_t)n;
    }
}

static void send_packet(void *context, const struct gdb_reply *packet)
{
    struct gdb_server *s = context;
    s->frame_bytes = gdb_frame(packet, s->frame);
    send_bytes(s, s->frame, s->frame_bytes);
}

static bool readable(int fd, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, wait_ms) > 0;
}

/* Reads what there is. False: the other end is gone. */
static bool fill(struct gdb_server *s)
{
    ssize_t n = recv(s->client, s->bytes, sizeof s->bytes, 0);
    if (n < 0 && errno == EINTR)
        return true;
    s->at = 0;
    s->count = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* The next event in what has been read; GDB_NOTHING if it is used up. */
static enum gdb_event next_event(struct gdb_server *s)
{
    while (s->at < s->count) {
        enum gdb_event event = gdb_feed(&s->framer, s->bytes[s->at++]);
        if (event != GDB_NOTHING)
            return event;
    }
    return GDB_NOTHING;
}

static bool accept_client(struct gdb_server *s)
{
    int yes = 1;
    s->client = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    if (s->client < 0)
        return false;
    setsockopt(s->client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* fails on unix sockets, which need it not */
    s->framer = (struct gdb_framer){.state = FRAMER_IDLE};
    s->at = s->count = s->frame_bytes = 0;
    s->waiting = false;
    s->gdb.send = send_packet;
    s->gdb.context = s;
    gdb_begin(&s->gdb, s->vm);
    return true;
}

/* ---- Serving ------------------------------------------------------------------------------------ */

static enum gdb_wish take_packet(struct gdb_server *s)
{
    if (!s->framer.no_ack)
        send_bytes(s, (const u8 *)"+", 1);
    enum gdb_wish wish = gdb_packet(&s->gdb, s->framer.data, s->framer.length);
    bool leaves = (wish == GDB_DETACH || wish == GDB_KILL) && s->gdb.reply.used;
    if (wish == GDB_STAY || leaves)
        send_packet(s, &s->gdb.reply);
    s->framer.no_ack |= s->gdb.no_ack;
    return wish;
}

static enum gdb_wish take_event(struct gdb_server *s, enum gdb_event event)
{
    switch (event) {
    case GDB_PACKET: return take_packet(s);
    case GDB_CORRUPT: send_bytes(s, (const u8 *)"-", s->framer.no_ack ? 0 : 1); return GDB_STAY;
    case GDB_RETRANSMIT: send_bytes(s, s->frame, s->frame_bytes); return GDB_STAY;
    default: return GDB_STAY;
    }
}

/* One look at the socket. */
static enum gdb_wish serve(struct gdb_server *s)
{
    enum gdb_event event = next_event(s);
    if (event != GDB_NOTHING)
        return take_event(s, event);
    if (readable(s->client, WAIT_MS) && !fill(s))
        return GDB_DETACH;
    return GDB_STAY;
}

enum gdb_wish gdb_server_stopped(struct gdb_server *s, const struct gdb_stop *stop)
{
    host_console_flush();
    while (s->client < 0) {
        if (host_stop_requested())
            return GDB_KILL;
        if (readable(s->listener, WAIT_MS))
            accept_client(s);
    }
    gdb_report(&s->gdb, stop);
    if (s->waiting)
        send_packet(s, &s->gdb.reply);
    s->waiting = false;
    enum gdb_wish wish = GDB_STAY;
    while (wish == GDB_STAY && !host_stop_requested())
        wish = serve(s);
    if (wish == GDB_STAY)
        return GDB_KILL;
    s->waiting = true;
    if (wish == GDB_DETACH || wish == GDB_KILL)
        drop_client(s);
    else
        stops_pass(s->gdb.vm);
    return wish;
}

bool gdb_server_interrupted(struct gdb_server *s)
{
    if (s->client < 0)
        return readable(s->listener, 0) && accept_client(s);
    while (s->at < s->count || readable(s->client, 0)) {
        if (s->at == s->count && !fill(s)) {
            drop_client(s); /* the guest goes on without */
            return false;
        }
        enum gdb_event event = next_event(s);
        if (event == GDB_INTERRUPT)
            return true;
        if (event == GDB_PACKET && !s->framer.no_ack)
            send_bytes(s, (const u8 *)"+", 1); /* nothing but an interrupt makes sense now */
    }
    return false;
}

void gdb_server_on_change(struct gdb_server *s, void (*before_change)(void *context), void *context)
{
    s->gdb.before_change = before_change;
    s->gdb.change_context = context;
}

void gdb_server_on_wish(struct gdb_server *s, gdb_wish_filter *on_wish, void *context)
{
    s->on_wish = on_wish;
    s->wish_context = context;
}

/* Why the guest stands after a piece of the run. False: it does not. */
static bool find_stop(struct gdb_server *s, enum vm_stop stop, struct gdb_stop *why)
{
    struct stops *stops = &s->gdb.stops;
    *why = (struct gdb_stop){.kind = GDB_STOP_SIGNAL, .number = GDB_SIGNAL_TRAP};
    if (stop == VM_STOP_DEBUG) {
        why->kind = GDB_STOP_POINT;
        why->point = stops->hit_point;
        stops->hit = false;
        return true;
    }
    if (s->vm->vcpu[0]->cpu.icount >= s->until)
        return true;
    why->number = GDB_SIGNAL_INT;
    return gdb_server_interrupted(s);
}

bool gdb_server_attend(struct gdb_server *s, enum vm_stop stop)
{
    struct gdb_stop why;
    if (!find_stop(s, stop, &why))
        return true;
    enum gdb_wish wish = gdb_server_stopped(s, &why);
    if (s->on_wish)
        wish = s->on_wish(s->wish_context, wish);
    s->until = wish == GDB_STEP ? s->vm->vcpu[0]->cpu.icount + 1 : UINT64_MAX;
    return wish != GDB_KILL;
}

u64 gdb_server_until(const struct gdb_server *s) { return s->until; }

void gdb_server_ended(struct gdb_server *s, unsigned exit_code, bool failed)
{
    if (s->client >= 0 && failed) {
        gdb_print(&s->gdb, "The guest has failed with a triple fault. It can be looked at, but not go on.\n");
        gdb_server_stopped(s, &(struct gdb_stop){.kind = GDB_STOP_SIGNAL, .number = GDB_SIGNAL_SEGV});
    }
    if (s->client < 0)
        return;
    gdb_report(&s->gdb, &(struct gdb_stop){.kind = GDB_STOP_EXIT, .number = exit_code});
    if (s->waiting)
        send_packet(s, &s->gdb.reply);
}

struct gdb *gdb_server_session(struct gdb_server *s) { return &s->gdb; }
bool gdb_server_attached(const struct gdb_server *s) { return s->client >= 0; }
