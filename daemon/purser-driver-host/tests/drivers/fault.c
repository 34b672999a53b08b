/* A driver that misbehaves as its settings say (one word): each mode breaks one rule of purser/driver.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <purser/driver.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

#ifndef FAULT_ABI_MAJOR
#define FAULT_ABI_MAJOR PURSER_ABI_MAJOR
#endif

static const struct purser_host *host;
static char mode[64];

/* A real one: the raised signal alone would be taken for a stack guard's and ignored by the runtime around us. */
static void crash(void) {
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}

static int is_mode(const char *name) { return strcmp(mode, name) == 0; }

static void say(const char *text) { host->log(host, PURSER_LOG_INFO, (const uint8_t *)text, (uint32_t)strlen(text)); }

static void emit(uint32_t kind, const char *name) {
    struct purser_event event = {.struct_size = sizeof event, .kind = kind, .slot = 7};
    if (name != NULL) {
        event.classes = PURSER_CLASS_CARD_READER;
        event.interfaces = PURSER_INTERFACE_CONTACT;
        event.name = (const uint8_t *)name;
        event.name_length = (uint32_t)strlen(name);
    }
    host->emit(host, &event);
}

/* Tells what of the daemon can be seen from inside. */
static void look_around(void) {
    char line[512];
    int count = 0;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) count++;
    snprintf(line, sizeof line, "environment: %d", count);
    say(line);
    int length = snprintf(line, sizeof line, "descriptors:");
    DIR *folder = opendir("/proc/self/fd");
    if (folder != NULL) {
        int own = dirfd(folder);
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
            int number = atoi(entry->d_name);
            if (entry->d_name[0] == '.' || number == own) continue;
            length += snprintf(line + length, sizeof line - (size_t)length, " %d", number);
        }
        closedir(folder);
    }
    say(line);
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    snprintf(line, sizeof line, "core: %d, dumpable: %d, leader: %d, no new privileges: %d", (int)core.rlim_max,
             prctl(PR_GET_DUMPABLE), getpgrp() == getpid(), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    say(line);
}

static int32_t create(const struct purser_host *given, const struct purser_call *call, const uint8_t *settings,
                      uint32_t settings_length, struct purser_instance **instance) {
    (void)call;
    host = given;
    memcpy(mode, settings, settings_length < sizeof mode ? settings_length : sizeof mode - 1);
    if (is_mode("refuse")) {
        static const char detail[] = "the settings are not to my taste";
        memcpy(call->detail->data, detail, sizeof detail - 1);
        call->detail->length = sizeof detail - 1;
        return PURSER_BAD_ARGUMENT;
    }
    if (is_mode("crash at create")) crash();
    if (is_mode("hang at create")) for (;;) pause();
    *instance = (struct purser_instance *)mode;
    emit(PURSER_DEVICE_ARRIVED, "bad reader");
    if (is_mode("look around")) look_around();
    if (is_mode("lie about cards")) {
        emit(PURSER_CARD_REMOVED, NULL);
        emit(99, NULL);
        emit(PURSER_DEVICE_ARRIVED, "again");
    }
    if (is_mode("log flood")) for (int i = 0; i < 100000; i++) say("blah");
    if (is_mode("stderr flood")) for (int i = 0; i < 20000; i++) fprintf(stderr, "blah blah\n");
    return PURSER_OK;
}

static int32_t destroy(struct purser_instance *instance, const struct purser_call *call) {
    (void)instance, (void)call;
    if (is_mode("hang at destroy")) for (;;) pause();
    return PURSER_OK;
}

static int32_t connect(struct purser_instance *instance, const struct purser_call *call, uint32_t slot,
                       struct purser_card *card) {
    (void)instance, (void)call, (void)slot;
    if (is_mode("deaf")) for (;;) pause();
    card->connection = is_mode("connection zero") ? 0 : 1;
    card->protocol = PURSER_PROTOCOL_T0;
    card->atr_length = is_mode("long atr") ? 4000 : 2;
    card->atr[0] = 0x3B;
    return PURSER_OK;
}

static int32_t transmit(struct purser_instance *instance, const struct purser_call *call, uint32_t slot,
                        uint32_t connection, const uint8_t *command, uint32_t command_length,
                        struct purser_buffer *response) {
    (void)instance, (void)call, (void)slot, (void)connection, (void)command, (void)command_length;
    if (is_mode("crash")) crash();
    if (is_mode("abort")) abort();
    if (is_mode("hang")) for (;;) pause();
    if (is_mode("exit")) _exit(0);
    if (is_mode("slow")) sleep(3);
    if (is_mode("event flood")) for (;;) emit(PURSER_CARD_INSERTED, NULL), emit(PURSER_CARD_REMOVED, NULL);
    if (is_mode("unknown code")) return 12345;
    if (is_mode("busy")) return PURSER_BUSY;
    if (is_mode("child")) {
        char line[64];
        pid_t child = fork();
        if (child == 0) for (;;) pause();
        snprintf(line, sizeof line, "child: %d", (int)child);
        say(line);
        crash();
    }
    if (is_mode("babble")) (void)!write(3, "\xff\xff\xff\xff", 4);
    if (is_mode("foreign answer")) {
        /* An Answer (message 3) to call 99: Err, fault 0, no detail. */
        static const uint8_t frame[] = {0, 0, 0, 5, 3, 99, 1, 0, 0};
        (void)!write(3, frame, sizeof frame);
    }
    if (is_mode("length lie")) {
        response->length = response->capacity + 1;
        return PURSER_OK;
    }
    if (is_mode("no status word")) {
        response->length = 1;
        return PURSER_OK;
    }
    response->data[0] = 0x90;
    response->data[1] = 0x00;
    response->length = 2;
    return PURSER_OK;
}

static int32_t disconnect(struct purser_instance *instance, const struct purser_call *call, uint32_t slot,
                          uint32_t connection) {
    (void)instance, (void)call, (void)slot, (void)connection;
    return is_mode("stuck power") ? PURSER_INTERNAL : PURSER_OK;
}

static const struct purser_card_reader_1 card_reader = {
    .struct_size = sizeof card_reader, .connect = connect, .transmit = transmit, .disconnect = disconnect};

static const void *get_extension(const uint8_t *id, uint32_t id_length) {
    static const char known[] = PURSER_CARD_READER_1;
    return id_length == sizeof known - 1 && memcmp(id, known, id_length) == 0 ? &card_reader : NULL;
}

static const struct purser_driver_entry entry = {
    .struct_size = sizeof entry,
    .abi_major = FAULT_ABI_MAJOR,
    .abi_minor = PURSER_ABI_MINOR,
    .id = (const uint8_t *)"fault",
    .version = (const uint8_t *)"1.0.0",
    .id_length = 5,
    .version_length = 5,
    .get_extension = get_extension,
    .create = create,
    .destroy = destroy,
};

const struct purser_driver_entry *purser_driver_entry(void) { return &entry; }
