/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A driver that misbehaves as its settings say, around the reader of ../example-c, so that it strikes in the middle of a
 * real sale. For tests only. README.md beside it lists the modes and the clause of driver.h that each one breaks.
 *
 * It does what a hostile driver can do, not only what the contract lets one do: it lives in the driver host's process, so
 * it writes to that process's memory and to Purser's socket (descriptor 3) itself.
 */
#define _GNU_SOURCE
#include <purser/driver.h>
#define purser_driver_entry(nothing) example_entry(nothing) /* the function only: the struct has the same name */
const struct purser_driver_entry *purser_driver_entry(void);
#include "../example-c/vpcd_reader.c"
#undef purser_driver_entry

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef FAULT_ABI_MAJOR
#define FAULT_ABI_MAJOR PURSER_ABI_MAJOR
#endif
#ifndef FAULT_STRUCT_SIZE
#define FAULT_STRUCT_SIZE sizeof(struct purser_driver_entry)
#endif
#ifndef FAULT_TRANSMIT
#define FAULT_TRANSMIT faulty_transmit
#endif
#ifndef FAULT_ID
#define FAULT_ID "fault"
#endif

enum { SOCKET = 3, INS_DEBIT = 0x54, GO_ON = -1 };

extern char **environ;

static const struct purser_host *host;
static struct {
    char mode[64];   /* what to do */
    char at[64];     /* in which call: create, connect, transmit, debit (a transmit with INS 54), disconnect, destroy */
    char moment[64]; /* "before" or "after" the real call */
    char armed[512]; /* strikes only while this file is there, and removes it */
    int has_port;    /* without a port there is a card in the driver itself that answers 9000 to all */
} chosen;

static int is_mode(const char *name) { return strcmp(chosen.mode, name) == 0; }

/* ---- at load, before any settings: chosen by the compiler's command line ------------------------------ */

__attribute__((constructor)) static void at_load(void) {
#ifdef FAULT_EXIT_AT_LOAD
    _exit(0);
#endif
#ifdef FAULT_HANG_AT_LOAD
    for (;;) pause();
#endif
}

/* ---- frames on Purser's own socket -------------------------------------------------------------------- */

static void put(const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t now = write(SOCKET, bytes, length);
        if (now <= 0) return;
        bytes += now;
        length -= (size_t)now;
    }
}

/* An answer to the call with this number: the response 9000, as the driver host would send it. */
static void forge_answer(uint64_t number) {
    uint8_t frame[32] = {0, 0, 0, 0, 3};
    size_t length = 5;
    do {
        frame[length++] = (uint8_t)((number & 0x7F) | (number > 0x7F ? 0x80 : 0));
        number >>= 7;
    } while (number > 0);
    static const uint8_t response[] = {0 /* ok */, 1 /* a response */, 2, 0x90, 0x00};
    memcpy(frame + length, response, sizeof response);
    length += sizeof response;
    frame[3] = (uint8_t)(length - 4);
    put(frame, length);
}

/* A frame that announces more than a frame may have, and sends it. */
static void send_oversize_frame(void) {
    enum { TOO_LONG = 1 << 20 };
    uint8_t *frame = calloc(1, TOO_LONG + 4);
    if (frame == NULL) return;
    frame[1] = TOO_LONG >> 16;
    put(frame, TOO_LONG + 4);
    free(frame);
}

/* ---- what can be done in any call ---------------------------------------------------------------------- */

/* A real one: a raised signal alone would be taken for a stack guard's and ignored by the runtime around us. */
static void crash(void) {
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}

static void emit(uint32_t kind, const char *name) {
    struct purser_event event = {.struct_size = sizeof event, .kind = kind, .slot = SLOT};
    if (name != NULL) {
        event.classes = PURSER_CLASS_CARD_READER;
        event.interfaces = PURSER_INTERFACE_CONTACT;
        event.name = (const uint8_t *)name;
        event.name_length = (uint32_t)strlen(name);
    }
    host->emit(host, &event);
}

static void *emit_for_ever(void *nothing) {
    for (;;) {
        emit(PURSER_CARD_INSERTED, NULL);
        emit(PURSER_CARD_REMOVED, NULL);
        usleep(20000);
    }
    return nothing;
}

static void *sleep_for_ever(void *nothing) {
    for (;;) pause();
    return nothing;
}

static void start_thread(void *(*run)(void *)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL) == 0) pthread_detach(thread);
}

/* Leaves a process behind; `away`: in a process group of its own, where it can. */
static void leave_child(int away) {
    char line[64];
    pid_t child = fork();
    if (child == 0) {
        if (away) setsid();
        for (;;) pause();
    }
    snprintf(line, sizeof line, "child: %d", (int)child);
    say(host, PURSER_LOG_INFO, line);
}

static void tell_secrets(const struct purser_call *call) {
    say(host, PURSER_LOG_INFO, "VERIFY 00 20 00 00 03 12 34 56");
    say(host, PURSER_LOG_WARN, "pin=123456 card 6222021234567890");
    say(host, PURSER_LOG_ERROR, "key 0123456789ABCDEFFEDCBA9876543210");
    fprintf(stderr, "block 0x12 0x34 0x56 0xFF 0xFF 0xFF 0xFF 0xFF\n");
    fail(call, 0, "the card 6222021234567890 said 80540100");
}

static void tell_command(const uint8_t *command, uint32_t length) {
    char line[3 * 64 + 1];
    int at = 0;
    for (uint32_t i = 0; i < length && i < 64; i++) at += snprintf(line + at, sizeof line - (size_t)at, "%02X ", command[i]);
    say(host, PURSER_LOG_DEBUG, line);
}

static void close_descriptors(void) {
    for (int descriptor = 0; descriptor < 1024; descriptor++) close(descriptor);
}

static void leak(void) {
    char *memory = malloc(65536);
    if (memory != NULL) memset(memory, 1, 65536);
    (void)!dup(2);
    start_thread(sleep_for_ever);
}

/* Does what the mode says, if it can be done in any call: the code to answer, or GO_ON. */
static int32_t strike(const struct purser_call *call) {
    if (is_mode("crash")) crash();
    if (is_mode("abort")) abort();
    if (is_mode("exit")) _exit(0);
    if (is_mode("hang")) for (;;) pause();
    if (is_mode("slow")) sleep(3);
    if (is_mode("late")) usleep((call->deadline_ms + 2000) * 1000);
    if (is_mode("event-flood")) for (;;) emit(PURSER_CARD_INSERTED, NULL), emit(PURSER_CARD_REMOVED, NULL);
    if (is_mode("log-flood")) for (int i = 0; i < 100000; i++) say(host, PURSER_LOG_INFO, "blah");
    if (is_mode("stderr-flood")) for (int i = 0; i < 20000; i++) fprintf(stderr, "blah blah\n");
    if (is_mode("secrets")) tell_secrets(call);
    if (is_mode("close-descriptors")) close_descriptors();
    if (is_mode("fork")) leave_child(0), crash();
    if (is_mode("fork-away")) leave_child(1), crash();
    if (is_mode("emit-for-ever")) start_thread(emit_for_ever);
    if (is_mode("leak")) leak();
    if (is_mode("handler")) signal(SIGTERM, SIG_IGN);
    if (is_mode("lie-about-cards")) emit(PURSER_CARD_REMOVED, NULL), emit(99, NULL), emit(PURSER_DEVICE_ARRIVED, "again");
    if (is_mode("babble")) put((const uint8_t *)"\xff\xff\xff\xff", 4);
    if (is_mode("oversize-frame")) send_oversize_frame();
    if (is_mode("duplicate-answer")) forge_answer(call->number);
    if (is_mode("foreign-answer")) forge_answer(call->number + 1);
    if (is_mode("unknown-code")) return 12345;
    if (is_mode("busy")) return PURSER_BUSY;
    if (is_mode("internal")) return PURSER_INTERNAL;
    return GO_ON;
}

/* True if the fault falls into this call and this moment. It disarms itself, so that it strikes once. */
static int strikes(const char *call, const char *moment) {
    if (strcmp(chosen.at, call) != 0 || strcmp(chosen.moment, moment) != 0) return 0;
    return chosen.armed[0] == '\0' || unlink(chosen.armed) == 0;
}

static int32_t strike_at(const char *name, const char *moment, const struct purser_call *call) {
    return strikes(name, moment) ? strike(call) : GO_ON;
}

/* ---- purser.card-reader/1 ------------------------------------------------------------------------------ */

static int32_t real_connect(struct purser_instance *reader, const struct purser_call *call, uint32_t slot,
                            struct purser_card *card) {
    if (chosen.has_port) return connect_card(reader, call, slot, card);
    card->connection = ++reader->newest;
    card->protocol = PURSER_PROTOCOL_T0;
    card->atr_length = 2;
    card->atr[0] = 0x3B;
    return PURSER_OK;
}

static int32_t faulty_connect(struct purser_instance *reader, const struct purser_call *call, uint32_t slot,
                              struct purser_card *card) {
    int32_t code = strike_at("connect", "before", call);
    if (code != GO_ON) return code;
    code = real_connect(reader, call, slot, card);
    if (code != PURSER_OK || strcmp(chosen.at, "connect") != 0) return code;
    if (is_mode("connection-zero")) card->connection = 0;
    if (is_mode("connection-again")) card->connection = reader->connection = 7;
    if (is_mode("long-atr")) card->atr_length = 4000;
    return code;
}

static int32_t real_transmit(struct purser_instance *reader, const struct purser_call *call, uint32_t slot,
                             uint32_t connection, const uint8_t *command, uint32_t command_length,
                             struct purser_buffer *response) {
    if (chosen.has_port) return transmit(reader, call, slot, connection, command, command_length, response);
    memcpy(response->data, "\x90\x00", 2);
    response->length = 2;
    return PURSER_OK;
}

/* Lies about the answer that the card gave. */
static void spoil(struct purser_buffer *response) {
    if (is_mode("length-over-capacity")) response->length = response->capacity + 1;
    if (is_mode("length-zero")) response->length = 0;
    if (is_mode("length-more")) response->length += 14;
    if (is_mode("no-status-word")) response->length = 1;
    if (is_mode("overrun")) memset(response->data, 0xAA, response->capacity + 32);
    if (is_mode("overrun-far")) memset(response->data, 0xAA, (size_t)response->capacity + (256u << 20));
}

static int32_t faulty_transmit(struct purser_instance *reader, const struct purser_call *call, uint32_t slot,
                               uint32_t connection, const uint8_t *command, uint32_t command_length,
                               struct purser_buffer *response) {
    const char *name = strcmp(chosen.at, "debit") == 0 && command_length > 1 && command[1] == INS_DEBIT ? "debit" : "transmit";
    if (is_mode("stale") && reader->connection == 0) reader->connection = connection;
    int32_t code = strike_at(name, "before", call);
    if (code != GO_ON) return code;
    if (is_mode("secrets")) tell_command(command, command_length);
    code = real_transmit(reader, call, slot, connection, command, command_length, response);
    if (!strikes(name, "after")) return code;
    if (is_mode("repeat")) return real_transmit(reader, call, slot, connection, command, command_length, response);
    spoil(response);
    int32_t other = strike(call);
    return other == GO_ON ? code : other;
}

static int32_t faulty_disconnect(struct purser_instance *reader, const struct purser_call *call, uint32_t slot,
                                 uint32_t connection) {
    int32_t code = strike_at("disconnect", "before", call);
    if (code != GO_ON) return code;
    if (is_mode("power-stays")) {
        reader->connection = 0;
        return PURSER_OK;
    }
    return chosen.has_port ? disconnect(reader, call, slot, connection) : PURSER_OK;
}

static const struct purser_card_reader_1 faulty_reader = {
    .struct_size = sizeof faulty_reader,
    .connect = faulty_connect,
    .transmit = FAULT_TRANSMIT,
    .disconnect = faulty_disconnect,
};

/* ---- life of an instance ------------------------------------------------------------------------------- */

static int choose(const char *line, const char *key, char *value, size_t size) {
    size_t length = strlen(key);
    if (strncmp(line, key, length) != 0 || strncmp(line + length, " = \"", 4) != 0) return 0;
    const char *start = line + length + 4, *end = strrchr(start, '"');
    if (end == NULL || (size_t)(end - start) >= size) return 0;
    memcpy(value, start, (size_t)(end - start));
    value[end - start] = '\0';
    return 1;
}

/* Takes our own keys out of the settings; what is left are the reader's. */
static char *own_settings(const uint8_t *settings, uint32_t length) {
    char *copy = strndup((const char *)settings, length), *left = calloc(1, length + 1), *rest = NULL;
    if (copy == NULL || left == NULL) abort();
    int takes_any = strstr(copy, "\"takes-any-setting\"") != NULL; /* the mode may stand behind the others */
    strcpy(chosen.at, "transmit");
    strcpy(chosen.moment, "before");
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (choose(line, "mode", chosen.mode, sizeof chosen.mode) || choose(line, "at", chosen.at, sizeof chosen.at) ||
            choose(line, "moment", chosen.moment, sizeof chosen.moment) ||
            choose(line, "armed", chosen.armed, sizeof chosen.armed)) {
            continue;
        }
        if (strncmp(line, "port", 4) == 0) chosen.has_port = 1;
        else if (takes_any && strncmp(line, "name", 4) != 0) continue;
        strcat(strcat(left, line), "\n");
    }
    free(copy);
    return left;
}

/* Tells what of the daemon can be seen from inside. */
static void look_around(void) {
    char line[512];
    int count = 0;
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) count++;
    snprintf(line, sizeof line, "environment: %d", count);
    say(host, PURSER_LOG_INFO, line);
    int length = snprintf(line, sizeof line, "descriptors");
    DIR *folder = opendir("/proc/self/fd");
    for (struct dirent *item; folder != NULL && (item = readdir(folder)) != NULL;) {
        int number = atoi(item->d_name);
        if (item->d_name[0] == '.' || number == dirfd(folder)) continue;
        length += snprintf(line + length, sizeof line - (size_t)length, "/%d", number);
    }
    if (folder != NULL) closedir(folder);
    say(host, PURSER_LOG_INFO, line);
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    snprintf(line, sizeof line, "core: %d, dumpable: %d, leader: %d, no new privileges: %d", (int)core.rlim_max,
             prctl(PR_GET_DUMPABLE), getpgrp() == getpid(), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    say(host, PURSER_LOG_INFO, line);
}

static int32_t faulty_create(const struct purser_host *given, const struct purser_call *call, const uint8_t *settings,
                             uint32_t settings_length, struct purser_instance **instance) {
    host = given;
    char *left = own_settings(settings, settings_length);
    if (is_mode("look-around")) look_around();
    int32_t code = strike_at("create", "before", call);
    if (code == GO_ON && !chosen.has_port) {
        static struct purser_instance without_card;
        struct settings unused;
        code = read_settings(call, (const uint8_t *)left, (uint32_t)strlen(left), &unused);
        *instance = &without_card;
        if (code == PURSER_OK) emit(PURSER_DEVICE_ARRIVED, "fault reader");
    } else if (code == GO_ON) {
        code = create(given, call, (const uint8_t *)left, (uint32_t)strlen(left), instance);
    }
    free(left);
    if (code == PURSER_OK) (void)strike_at("create", "after", call);
    return code;
}

static int32_t faulty_destroy(struct purser_instance *reader, const struct purser_call *call) {
    (void)strike_at("destroy", "before", call);
    return chosen.has_port ? destroy(reader, call) : PURSER_OK;
}

static const void *faulty_get_extension(const uint8_t *id, uint32_t id_length) {
#ifdef FAULT_ANY_ABILITY
    (void)id, (void)id_length;
    return &faulty_reader;
#else
    return get_extension(id, id_length) != NULL ? &faulty_reader : NULL;
#endif
}

static const struct purser_driver_entry faulty_entry = {
    .struct_size = FAULT_STRUCT_SIZE,
    .abi_major = FAULT_ABI_MAJOR,
    .abi_minor = PURSER_ABI_MINOR,
    .id = (const uint8_t *)FAULT_ID,
    .id_length = sizeof FAULT_ID - 1,
    .version = (const uint8_t *)"1.0.0",
    .version_length = 5,
    .get_extension = faulty_get_extension,
    .create = faulty_create,
    .destroy = faulty_destroy,
};

#ifdef FAULT_NO_ENTRY
__attribute__((visibility("hidden")))
#endif
const struct purser_driver_entry *purser_driver_entry(void) { return &faulty_entry; }
