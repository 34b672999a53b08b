/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A whole card reader driver for Purser in one file: read it from the end, where the tables are.
 *
 * Its reader listens on a TCP port of this machine. A card is a program that connects and speaks the vpcd protocol:
 * each message is a length of two bytes, big-endian, and so many bytes. One byte is a control (0 power off, 1 power on,
 * 4 "tell your ATR"), all else a command. The card answers commands and 4. Connected = inserted, closed = removed.
 *
 * Threads: the host's calls come one at a time [T-1]. One thread of ours waits for cards to come and go, and alone
 * emits, so that insertions and removals alternate [E-3]. A mutex guards what both touch; it is never held over emit
 * or log [T-3].
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <purser/driver.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { POWER_OFF = 0, POWER_ON = 1, TELL_ATR = 4 };
enum { SLOT = 0, MESSAGE_MAX = 0xFFFF, CONTROL_TIME_MS = 200 };

struct purser_instance {
    const struct purser_host *host;
    char name[PURSER_NAME_MAX + 1];
    int listener;
    int wake[2]; /* closing wake[1] ends the watcher */
    pthread_t watcher;
    pthread_mutex_t lock; /* guards what follows */
    int card;             /* -1: none. Closed by the watcher alone */
    uint32_t connection;  /* the living one, or 0 [C-1] */
    uint32_t newest;      /* numbers are used once [C-2] */
};

/* ---- words for the operator -------------------------------------------------------------------------- */

/* Puts one sentence into the call's detail and gives the code back. */
static int32_t fail(const struct purser_call *call, int32_t code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[PURSER_DETAIL_MAX];
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0) return code;
    uint32_t fits = (size_t)length < sizeof text ? (uint32_t)length : (uint32_t)sizeof text - 1;
    if (fits > call->detail->capacity) fits = call->detail->capacity;
    memcpy(call->detail->data, text, fits);
    call->detail->length = fits;
    return code;
}

static void say(const struct purser_host *host, uint32_t level, const char *text) {
    host->log(host, level, (const uint8_t *)text, (uint32_t)strlen(text));
}

static void tell(struct purser_instance *reader, uint32_t kind) {
    struct purser_event event = {.struct_size = sizeof event, .kind = kind, .slot = SLOT};
    if (kind == PURSER_DEVICE_ARRIVED) {
        event.classes = PURSER_CLASS_CARD_READER;
        event.interfaces = PURSER_INTERFACE_CONTACT;
        event.name = (const uint8_t *)reader->name;
        event.name_length = (uint32_t)strlen(reader->name);
    }
    reader->host->emit(reader->host, &event);
}

/* ---- time -------------------------------------------------------------------------------------------- */

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the socket is ready for this; 0 when the time is over [T-5]. */
static int wait_for(int fd, short what, int64_t until_ms) {
    for (;;) {
        int64_t left = until_ms - now_ms();
        if (left <= 0) return 0;
        struct pollfd polled = {.fd = fd, .events = what};
        int ready = poll(&polled, 1, left > 60000 ? 60000 : (int)left);
        if (ready > 0) return 1;
        if (ready < 0 && errno != EINTR) return 0;
    }
}

/* ---- the card's protocol ----------------------------------------------------------------------------- */

/* What came of an exchange with a card. */
enum exchange { DONE, NOTHING_SENT, LOST };

static enum exchange send_message(int card, const uint8_t *bytes, uint32_t length, int64_t until_ms) {
    const uint8_t prefix[2] = {(uint8_t)(length >> 8), (uint8_t)length};
    uint32_t whole = length + 2, sent = 0;
    while (sent < whole) {
        if (!wait_for(card, POLLOUT, until_ms)) return sent ? LOST : NOTHING_SENT;
        /* Both parts go out in one packet, and the command is not copied: it may hold a PIN [M-3]. */
        struct iovec parts[2];
        parts[0].iov_base = (void *)(sent < 2 ? prefix + sent : prefix);
        parts[0].iov_len = sent < 2 ? 2 - sent : 0;
        parts[1].iov_base = (void *)(sent < 2 ? bytes : bytes + (sent - 2));
        parts[1].iov_len = sent < 2 ? length : whole - sent;
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t now = sendmsg(card, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (now > 0) sent += (uint32_t)now;
        else if (errno != EAGAIN && errno != EINTR) return sent ? LOST : NOTHING_SENT;
    }
    return DONE;
}

static enum exchange receive(int card, uint8_t *bytes, uint32_t length, int64_t until_ms) {
    for (uint32_t got = 0; got < length;) {
        if (!wait_for(card, POLLIN, until_ms)) return LOST;
        ssize_t now = recv(card, bytes + got, length - got, MSG_DONTWAIT);
        if (now > 0) got += (uint32_t)now;
        else if (now == 0 || (errno != EAGAIN && errno != EINTR)) return LOST;
    }
    return DONE;
}

static enum exchange receive_message(int card, uint8_t *bytes, uint32_t capacity, uint32_t *length, int64_t until_ms) {
    uint8_t prefix[2];
    if (receive(card, prefix, sizeof prefix, until_ms) != DONE) return LOST;
    uint32_t announced = (uint32_t)prefix[0] << 8 | prefix[1];
    if (announced > capacity) return LOST;
    if (receive(card, bytes, announced, until_ms) != DONE) return LOST;
    *length = announced;
    return DONE;
}

static enum exchange send_control(int card, uint8_t control, int64_t until_ms) {
    return send_message(card, &control, 1, until_ms);
}

/* True while the card is there and silent. A card that speaks unasked would answer the next command with old bytes. */
static int is_present(int card) {
    uint8_t byte;
    return card >= 0 && recv(card, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR);
}

/* ---- cards come and go ------------------------------------------------------------------------------- */

/* The card's socket can be read: it has left, or an exchange just took what came. */
static void look_after_card(struct purser_instance *reader) {
    pthread_mutex_lock(&reader->lock);
    int has_left = reader->card >= 0 && !is_present(reader->card);
    if (has_left) {
        close(reader->card);
        reader->card = -1;
        reader->connection = 0;
    }
    pthread_mutex_unlock(&reader->lock);
    if (has_left) tell(reader, PURSER_CARD_REMOVED);
}

static void seat_card(struct purser_instance *reader) {
    int card = accept4(reader->listener, NULL, NULL, SOCK_CLOEXEC);
    if (card < 0) return;
    look_after_card(reader); /* one that left unseen makes room */
    setsockopt(card, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    pthread_mutex_lock(&reader->lock);
    int is_taken = reader->card >= 0;
    if (!is_taken) reader->card = card;
    pthread_mutex_unlock(&reader->lock);
    if (is_taken) {
        close(card);
        say(reader->host, PURSER_LOG_WARN, "two cards in one slot: the second was refused");
    } else {
        tell(reader, PURSER_CARD_INSERTED);
    }
}

static void *watch(void *of) {
    struct purser_instance *reader = of;
    for (;;) {
        pthread_mutex_lock(&reader->lock);
        int card = reader->card;
        pthread_mutex_unlock(&reader->lock);
        struct pollfd polled[3] = {
            {.fd = reader->wake[0], .events = POLLIN},
            {.fd = reader->listener, .events = POLLIN},
            {.fd = card, .events = POLLIN}, /* a negative one is passed over */
        };
        if (poll(polled, 3, -1) < 0 && errno != EINTR) return NULL;
        if (polled[0].revents) return NULL;
        if (polled[2].revents) look_after_card(reader);
        if (polled[1].revents) seat_card(reader);
    }
}

/* ---- purser.card-reader/1 ---------------------------------------------------------------------------- */

/* The first protocol of the ATR: the low half of TD1; T=0 where there is none (ISO/IEC 7816-3 8.2.3). */
static uint32_t first_protocol(const uint8_t *atr, uint32_t length) {
    if (length < 2 || !(atr[1] & 0x80)) return PURSER_PROTOCOL_T0;
    uint32_t td1 = 2 + !!(atr[1] & 0x10) + !!(atr[1] & 0x20) + !!(atr[1] & 0x40);
    return td1 < length && (atr[td1] & 0x0F) == 1 ? PURSER_PROTOCOL_T1 : PURSER_PROTOCOL_T0;
}

/* The end of a connection that went wrong: the card is thrown out, and so has no power [C-4]. The watcher sees it. */
static void eject(struct purser_instance *reader) {
    reader->connection = 0;
    shutdown(reader->card, SHUT_RDWR);
}

static int32_t connect_locked(struct purser_instance *reader, const struct purser_call *call, struct purser_card *card) {
    int64_t until_ms = now_ms() + call->deadline_ms;
    if (!is_present(reader->card)) return PURSER_NO_CARD;
    if (reader->connection) return fail(call, PURSER_BUSY, "a connection to this card lives already");
    uint8_t atr[MESSAGE_MAX];
    uint32_t length = 0;
    /* It begins with power-up, so that nothing of an earlier session survives in any case [C-4]. */
    if (send_control(reader->card, POWER_ON, until_ms) != DONE || send_control(reader->card, TELL_ATR, until_ms) != DONE ||
        receive_message(reader->card, atr, sizeof atr, &length, until_ms) != DONE || length == 0 ||
        length > PURSER_ATR_MAX) {
        eject(reader);
        return fail(call, PURSER_CARD_MUTE, "the card gave no ATR");
    }
    reader->connection = ++reader->newest;
    card->connection = reader->connection;
    card->protocol = first_protocol(atr, length);
    card->contactless = 0;
    card->atr_length = length;
    memcpy(card->atr, atr, length);
    return PURSER_OK;
}

static int32_t connect_card(struct purser_instance *reader, const struct purser_call *call, uint32_t slot,
                            struct purser_card *card) {
    if (slot != SLOT) return fail(call, PURSER_DEVICE_GONE, "there is no slot %u", slot);
    pthread_mutex_lock(&reader->lock);
    int32_t code = connect_locked(reader, call, card);
    pthread_mutex_unlock(&reader->lock);
    return code;
}

/* True for the living connection to a card that is there [C-5]. */
static int lives(struct purser_instance *reader, uint32_t connection) {
    if (connection == 0 || connection != reader->connection) return 0;
    if (!is_present(reader->card)) reader->connection = 0;
    return reader->connection != 0;
}

static int32_t transmit_locked(struct purser_instance *reader, const struct purser_call *call, uint32_t connection,
                               const uint8_t *command, uint32_t command_length, struct purser_buffer *response) {
    int64_t until_ms = now_ms() + call->deadline_ms;
    if (!lives(reader, connection)) return PURSER_CARD_CHANGED;
    if (command_length < 4) return fail(call, PURSER_BAD_ARGUMENT, "a command has four bytes or more");
    if (command_length > MESSAGE_MAX) return fail(call, PURSER_UNSUPPORTED, "this reader passes up to %d bytes", MESSAGE_MAX);
    enum exchange sent = send_message(reader->card, command, command_length, until_ms);
    if (sent == NOTHING_SENT) return PURSER_TIMEOUT;
    /* From here on the card may have it: all that is not a whole answer is an unknown outcome [C-7]. */
    uint32_t length = 0;
    if (sent != DONE || receive_message(reader->card, response->data, response->capacity, &length, until_ms) != DONE ||
        length < 2) {
        eject(reader); /* a late answer would be taken for the next command's */
        return fail(call, PURSER_OUTCOME_UNKNOWN, "the card did not answer, or left");
    }
    response->length = length;
    return PURSER_OK;
}

static int32_t transmit(struct purser_instance *reader, const struct purser_call *call, uint32_t slot,
                        uint32_t connection, const uint8_t *command, uint32_t command_length,
                        struct purser_buffer *response) {
    if (slot != SLOT) return fail(call, PURSER_DEVICE_GONE, "there is no slot %u", slot);
    pthread_mutex_lock(&reader->lock);
    int32_t code = transmit_locked(reader, call, connection, command, command_length, response);
    pthread_mutex_unlock(&reader->lock);
    return code;
}

static int32_t disconnect(struct purser_instance *reader, const struct purser_call *call, uint32_t slot,
                          uint32_t connection) {
    if (slot != SLOT) return fail(call, PURSER_DEVICE_GONE, "there is no slot %u", slot);
    pthread_mutex_lock(&reader->lock);
    int32_t code = lives(reader, connection) ? PURSER_OK : PURSER_CARD_CHANGED;
    if (code == PURSER_OK) {
        reader->connection = 0;
        if (send_control(reader->card, POWER_OFF, now_ms() + CONTROL_TIME_MS) != DONE) eject(reader);
    }
    pthread_mutex_unlock(&reader->lock);
    return code;
}

static const struct purser_card_reader_1 card_reader = {
    .struct_size = sizeof card_reader,
    .connect = connect_card,
    .transmit = transmit,
    .disconnect = disconnect,
};

/* ---- life of an instance ----------------------------------------------------------------------------- */

struct settings {
    char name[PURSER_NAME_MAX + 1];
    unsigned port;
};

/* Reads one line of settings: the part of TOML that two keys need. 0 for a line that it does not understand. */
static int read_setting(const char *line, struct settings *settings) {
    char end;
    while (*line == ' ' || *line == '\t') line++;
    if (*line == '\0' || *line == '#') return 1;
    if (sscanf(line, "port = %5u %c", &settings->port, &end) == 1) return settings->port <= 65535;
    return sscanf(line, "name = \"%64[^\"\\]\" %c", settings->name, &end) == 1;
}

static int32_t read_settings(const struct purser_call *call, const uint8_t *text, uint32_t length, struct settings *settings) {
    char *copy = strndup((const char *)text, length), *rest = NULL;
    if (copy == NULL) return PURSER_INTERNAL;
    int32_t code = PURSER_OK;
    for (char *line = strtok_r(copy, "\n", &rest); line && code == PURSER_OK; line = strtok_r(NULL, "\n", &rest)) {
        if (!read_setting(line, settings))
            code = fail(call, PURSER_BAD_ARGUMENT, "settings: expected name = \"...\" or port = 0 to 65535, found: %.100s", line);
    }
    free(copy);
    return code;
}

/* Listens on the port, 0 for any free one, and says in the log where. */
static int open_port(struct purser_instance *reader, unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    reader->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (reader->listener < 0) return 0;
    setsockopt(reader->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(reader->listener, (struct sockaddr *)&address, size) || listen(reader->listener, 4) ||
        getsockname(reader->listener, (struct sockaddr *)&address, &size)) {
        return 0;
    }
    char line[128];
    snprintf(line, sizeof line, "%s listens on 127.0.0.1:%u", reader->name, ntohs(address.sin_port));
    say(reader->host, PURSER_LOG_INFO, line);
    return 1;
}

static void release(struct purser_instance *reader) {
    if (reader->card >= 0) close(reader->card);
    if (reader->listener >= 0) close(reader->listener);
    if (reader->wake[0] >= 0) close(reader->wake[0]);
    if (reader->wake[1] >= 0) close(reader->wake[1]);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

static int32_t create(const struct purser_host *host, const struct purser_call *call, const uint8_t *settings,
                      uint32_t settings_length, struct purser_instance **instance) {
    struct settings read = {.name = "reader", .port = 35963};
    int32_t code = read_settings(call, settings, settings_length, &read);
    if (code != PURSER_OK) return code;
    struct purser_instance *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return PURSER_INTERNAL;
    reader->host = host;
    reader->card = reader->listener = reader->wake[0] = reader->wake[1] = -1;
    pthread_mutex_init(&reader->lock, NULL);
    memcpy(reader->name, read.name, sizeof reader->name);
    if (!open_port(reader, read.port)) {
        code = fail(call, PURSER_BUSY, "port %u: %s", read.port, strerror(errno));
    } else {
        tell(reader, PURSER_DEVICE_ARRIVED); /* before create returns, and before any card [E-1] */
        if (pipe2(reader->wake, O_CLOEXEC) || pthread_create(&reader->watcher, NULL, watch, reader))
            code = fail(call, PURSER_INTERNAL, "no thread: %s", strerror(errno));
    }
    if (code != PURSER_OK) release(reader);
    else *instance = reader;
    return code;
}

static int32_t destroy(struct purser_instance *reader, const struct purser_call *call) {
    (void)call;
    close(reader->wake[1]);
    reader->wake[1] = -1;
    pthread_join(reader->watcher, NULL);
    if (reader->card >= 0 && reader->connection) send_control(reader->card, POWER_OFF, now_ms() + CONTROL_TIME_MS);
    release(reader);
    return PURSER_OK;
}

static const void *get_extension(const uint8_t *id, uint32_t id_length) {
    static const char offered[] = PURSER_CARD_READER_1;
    return id_length == sizeof offered - 1 && memcmp(id, offered, id_length) == 0 ? &card_reader : NULL;
}

static const struct purser_driver_entry entry = {
    .struct_size = sizeof entry,
    .abi_major = PURSER_ABI_MAJOR,
    .abi_minor = PURSER_ABI_MINOR,
    .id = (const uint8_t *)"example-c",
    .id_length = sizeof "example-c" - 1,
    .version = (const uint8_t *)"1.0.0",
    .version_length = sizeof "1.0.0" - 1,
    .get_extension = get_extension,
    .create = create,
    .destroy = destroy, /* no cancel: no call of this driver waits for a person */
};

const struct purser_driver_entry *purser_driver_entry(void) { return &entry; }
