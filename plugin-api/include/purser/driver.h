/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * purser/driver.h - the contract between Purser and a device driver, ABI 1.0
 *
 * This file is the specification. A driver is a shared object that exports ONE symbol,
 * purser_driver_entry(). Purser loads it into a process of its own (the driver host), one process for
 * each configured instance, and calls it through the tables below. "The host" in this file always means
 * that driver host. Each rule has a name in square brackets, such as [T-3]; a checker's report and
 * Purser's log name the rule that was broken.
 *
 * READING ORDER: general rules [G], threads and time [T], memory [M], results [R], events [E],
 * life of an instance [L], card readers [C], PIN pads [P].
 *
 * GENERAL
 * [G-1]  Only fixed-width integers, pointers to bytes with a length, and handles cross this line. No
 *        struct is passed by value, no text ends with a zero byte, no function has variable arguments.
 * [G-2]  Each struct starts with its struct_size in bytes as its maker knew it. The reader uses a field
 *        only if it lies wholly inside struct_size. Minor versions add fields at the end only, and reserved
 *        fields must be 0.
 * [G-3]  abi_major must be equal on both sides or the driver is not loaded. A driver with a smaller or
 *        larger abi_minor than the host's is loaded; each side uses what both know.
 * [G-4]  Abilities beyond this table are found by id ("purser.card-reader/1"). The number after the slash
 *        is the ability's own major version. A driver may offer several.
 * [G-5]  The driver holds no money state and remembers nothing across a restart. It opens no network,
 *        writes no files and starts no processes unless its manifest says so under `needs`.
 * [G-6]  The environment is empty. Descriptors 0 to 2 lead nowhere but the log (2); the driver does not
 *        touch descriptors that it did not open.
 * [G-7]  Never in a log text, a detail text or an event: digits of a PIN, keys, command or response bytes. Purser masks
 *        what looks so, and more than that.
 * [G-8]  A driver does not crash, whatever its device or card does.
 * [G-9]  What a call takes (memory, descriptors, threads) it gives back: a thousand connections leave the process as
 *        one does.
 *
 * THREADS AND TIME
 * [T-1]  The host makes all calls from one thread, one at a time, except `cancel`.
 * [T-2]  `cancel` may be called from another thread while another call runs, and must return at once
 *        (it sets a flag or wakes the waiter; it waits for nothing).
 * [T-3]  The driver may call host->emit and host->log from any thread from the start of create() until
 *        destroy() returns. Both may block for a moment; hold no lock over them that a call or `cancel` needs.
 * [T-4]  Each call carries deadline_ms, counted from the moment of the call and never 0. The driver
 *        answers before it. Shortly after the deadline Purser kills the process: that equals a crash.
 * [T-5]  Waiting uses no busy loop and no periodic polling faster than the device itself requires.
 * [T-6]  The driver blocks no signals, installs no handlers, and neither forks nor calls exit().
 *
 * MEMORY
 * [M-1]  Memory never changes owner across this line. What a pointer argument points at is valid until the
 *        called function returns, unless the rule of that function says "until the process ends".
 * [M-2]  A purser_buffer is the caller's: the callee writes at most `capacity` bytes at `data` and sets
 *        `length`. It is handed over initialised, with length 0. A length above capacity is a breach: none is used.
 * [M-3]  Buffers that can carry a PIN (commands, PIN answers) are wiped by the host when the call returned.
 *        The driver wipes each copy that it made before it returns.
 * [M-4]  The host never unloads a driver: it ends its process. Static and thread-local data may be used.
 *
 * RESULTS
 * Each function returns one code of the catalogue below. Any other value counts as PURSER_INTERNAL.
 * A code says whose fault it is and whether the same call may be made again safely. The driver itself
 *        never repeats a call to the device on its own account.
 * `detail` may hold one sentence of UTF-8 for the operator. Bytes that are no UTF-8 are replaced.
 */
#ifndef PURSER_DRIVER_H
#define PURSER_DRIVER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PURSER_ABI_MAJOR 1u
#define PURSER_ABI_MINOR 0u

/* ---- limits --------------------------------------------------------------------------------------- */

#define PURSER_ATR_MAX 33u          /* ISO/IEC 7816-3 8.2.1: TS and at most 32 characters */
#define PURSER_COMMAND_MAX 65544u   /* ISO/IEC 7816-4 5.1: header, extended Lc, 65535 bytes, extended Le */
#define PURSER_RESPONSE_MAX 65538u  /* 65536 bytes and the status word */
#define PURSER_PIN_MAX 12u          /* ISO 9564-1: a PIN has 4 to 12 digits */
#define PURSER_PIN_BLOCK_MAX 64u    /* an encrypted PIN block, 8 or 16 bytes today */
#define PURSER_DETAIL_MAX 256u      /* bytes of one detail text */
#define PURSER_LOG_MAX 1024u        /* bytes of one log text; what is longer is cut */
#define PURSER_NAME_MAX 64u         /* bytes of a driver id, version or device name */
#define PURSER_SETTINGS_MAX 65536u  /* bytes of the settings text */
#define PURSER_SLOTS_MAX 32u        /* devices of one instance at a time */

/* ---- result catalogue [R] -------------------------------------------------------------------------
 *
 *      code                   whose fault      may the call be made again?
 */
#define PURSER_OK 0              /* done                                                                    */
#define PURSER_NO_CARD 101       /* the buyer      yes: nothing was sent; no card lies in the slot           */
#define PURSER_CARD_CHANGED 102  /* the buyer      no, connect anew: nothing was sent; the connection's card */
                                 /*                was removed, reset or swapped since                       */
#define PURSER_CARD_MUTE 103     /* the card       yes, once: it gave no ATR (connect only)                  */
#define PURSER_CANCELLED 104     /* nobody         yes: the buyer pressed cancel, or `cancel` was called     */
#define PURSER_BUSY 201          /* the device     yes, later: someone else holds it; detail names the holder */
#define PURSER_DEVICE_GONE 202   /* the device     no, wait for its return: nothing was sent                 */
#define PURSER_TIMEOUT 203       /* the device     yes: nothing was sent before the deadline came            */
#define PURSER_OUTCOME_UNKNOWN 301 /* the device or card. NO: the card may or may not have executed it       */
#define PURSER_BAD_ARGUMENT 401  /* the caller     no: nothing was sent                                      */
#define PURSER_UNSUPPORTED 402   /* the caller     no: nothing was sent; this driver or device cannot do it  */
#define PURSER_INTERNAL 501      /* the driver     NO: counts as PURSER_OUTCOME_UNKNOWN for transmit         */

/* ---- common structs -------------------------------------------------------------------------------- */

/* One running instance; made by create(), opaque to the host. */
struct purser_instance;

/* A caller's buffer [M-2]. */
struct purser_buffer {
    uint8_t *data;
    uint32_t capacity;
    uint32_t length;
};

/* What each call carries. */
struct purser_call {
    uint32_t struct_size;
    uint32_t deadline_ms;         /* [T-4] */
    uint64_t number;              /* names this call for `cancel`; unique while the process lives */
    struct purser_buffer *detail; /* never NULL; capacity PURSER_DETAIL_MAX */
};

/* ---- what the driver may call: events and log [E] --------------------------------------------------
 *
 * [E-1]  A device is announced by PURSER_DEVICE_ARRIVED with a slot number of the driver's choice, unique among
 *        the present devices, and a name that stays the same over restarts ("front reader", a serial number).
 *        Devices that are there at start are announced before create() returns.
 * [E-2]  PURSER_DEVICE_LEFT ends the slot; its number may be used again. A slot that left holds no card.
 * [E-3]  PURSER_CARD_INSERTED and PURSER_CARD_REMOVED alternate for a slot of a card reader. A card that is
 *        there when its device arrives is announced right after the device. A swap is a removal and an insertion.
 * [E-4]  PURSER_PIN_DIGITS tells how many digits stand on the PIN pad's display now; never which. Only while
 *        enter_pin runs.
 * [E-5]  Events report changes only. A driver that emits more than about 200 a second for more than a moment is
 *        taken for lost, and its process is killed.
 * [E-6]  Log lines and lines on descriptor 2 are few: of more than about 10 a second for more than a moment the rest is
 *        dropped and counted.
 */
#define PURSER_DEVICE_ARRIVED 1u
#define PURSER_DEVICE_LEFT 2u
#define PURSER_CARD_INSERTED 3u
#define PURSER_CARD_REMOVED 4u
#define PURSER_PIN_DIGITS 5u

/* purser_event.classes: what the device in this slot can do; the driver offers these abilities. */
#define PURSER_CLASS_CARD_READER 0x1u
#define PURSER_CLASS_PIN_PAD 0x2u

/* purser_event.interfaces: how a card reader reaches cards; 0 for other devices. */
#define PURSER_INTERFACE_CONTACT 0x1u
#define PURSER_INTERFACE_CONTACTLESS 0x2u

struct purser_event {
    uint32_t struct_size;
    uint32_t kind;
    uint32_t slot;
    uint32_t pin_digits;  /* PURSER_PIN_DIGITS only, else 0 */
    uint32_t classes;     /* PURSER_DEVICE_ARRIVED only, else 0 */
    uint32_t interfaces;  /* PURSER_DEVICE_ARRIVED only, else 0 */
    uint32_t name_length; /* PURSER_DEVICE_ARRIVED only, else 0; 1 to PURSER_NAME_MAX */
    uint32_t reserved;
    const uint8_t *name; /* UTF-8 */
};

#define PURSER_LOG_ERROR 1u
#define PURSER_LOG_WARN 2u
#define PURSER_LOG_INFO 3u
#define PURSER_LOG_DEBUG 4u

/* Valid until the process ends. Pass the same pointer back as `host`. */
struct purser_host {
    uint32_t struct_size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved;

    /* Reports one event [E].
     * Thread: any [T-3].  Ownership: event and name are read before it returns [M-1].
     * Returns PURSER_OK, or PURSER_BAD_ARGUMENT for an event that breaks a rule (it is dropped and counted). */
    int32_t (*emit)(const struct purser_host *host, const struct purser_event *event);

    /* Writes one line of UTF-8 to Purser's log [G-7]; lines that come too fast are dropped and counted.
     * Thread: any [T-3].  level: PURSER_LOG_*. */
    void (*log)(const struct purser_host *host, uint32_t level, const uint8_t *text, uint32_t length);
};

/* ---- the entry table: life of an instance [L] ------------------------------------------------------
 *
 * [L-1]  Order: purser_driver_entry, get_extension (any number of times), create once, calls, destroy at most
 *        once, end of the process. A crash or a kill may come at any point and is safe for the daemon.
 * [L-2]  purser_driver_entry and get_extension have no side effects: no device is touched, no thread started.
 *        Manifests are made by calling them.
 * [L-3]  id, version and tables are valid until the process ends.
 * [L-6]  When destroy has returned, no thread of the driver runs and nothing calls emit or log any more.
 * [L-7]  create refuses settings that it does not know with PURSER_BAD_ARGUMENT and a detail that names them.
 */
struct purser_driver_entry {
    uint32_t struct_size;
    uint32_t abi_major; /* PURSER_ABI_MAJOR as the driver was compiled */
    uint32_t abi_minor; /* PURSER_ABI_MINOR as the driver was compiled */
    uint32_t reserved;

    const uint8_t *id;      /* "virtual-reader": lower-case letters, digits and '-', 1 to PURSER_NAME_MAX */
    const uint8_t *version; /* "1.2.0": printable ASCII, 1 to PURSER_NAME_MAX */
    uint32_t id_length;
    uint32_t version_length;

    /* Finds an ability's table, such as struct purser_card_reader_1 for "purser.card-reader/1" [G-4].
     * State: any.  Thread: the host's.  Returns NULL for an id that this driver does not offer. */
    const void *(*get_extension)(const uint8_t *id, uint32_t id_length);

    /* Makes the instance: reads its settings, opens its devices, announces them [E-1].
     * State: before all other calls.  Thread: the host's.
     * settings: a TOML document in UTF-8 (the driver's own table of the configuration), perhaps empty;
     *   valid until create returns. Unknown keys are refused with PURSER_BAD_ARGUMENT and a detail that names them.
     * host: until the process ends.
     * No device at all is no error: they may arrive later.
     * Errors: BAD_ARGUMENT (settings), BUSY, DEVICE_GONE, TIMEOUT, UNSUPPORTED, INTERNAL. After an error *instance
     *   is not used and the process ends; Purser tries again later, but not after BAD_ARGUMENT or UNSUPPORTED. */
    int32_t (*create)(const struct purser_host *host, const struct purser_call *call, const uint8_t *settings,
                      uint32_t settings_length, struct purser_instance **instance);

    /* Ends the instance: all cards are powered off, all threads joined, emit and log used no more.
     * State: after create.  Thread: the host's.  Errors: none are expected; the process ends either way. */
    int32_t (*destroy)(struct purser_instance *instance, const struct purser_call *call);

    /* Asks that the call with this number ends soon with PURSER_CANCELLED.
     * State: between create and destroy.  Thread: any, also while that call runs [T-2].  May be NULL if no call of this
     * driver ever waits for a person.
     * [L-4]  It may overtake its call or come after its end. So a driver remembers the newest number that was
     *        cancelled and compares it with call->number while it waits; PURSER_OK in any case.
     * [L-5]  It ends enter_pin, and connect while it waits. It NEVER ends a transmit: a command that was
     *        started is awaited to its answer or its deadline. */
    int32_t (*cancel)(struct purser_instance *instance, uint64_t call_number);
};

/* The one exported symbol. Never NULL. */
const struct purser_driver_entry *purser_driver_entry(void);

/* ---- purser.card-reader/1 [C] -----------------------------------------------------------------------
 *
 * [C-1]  A slot has at most one connection. It begins with connect and ends by disconnect, by removal, reset or
 *        swap of the card, by the device's leaving, or by a transmit that answered PURSER_OUTCOME_UNKNOWN.
 * [C-2]  Connection numbers are not 0 and are used once in the life of the process.
 * [C-3]  While a connection lives nobody else can reach the card: no other program, no other part of the driver.
 * [C-4]  Whenever a connection ends, by whatever cause, the card is powered off or reset, so that its PIN state,
 *        selection and sessions are gone. Where the reader shares cards, the driver asks it for a reset. This
 *        includes the sudden end of the process: use the device so that the system then does it, and let connect
 *        begin with power-up or reset, so that nothing of an earlier session survives in any case.
 * [C-5]  A call with a connection number that is not the slot's living one answers PURSER_CARD_CHANGED and sends
 *        nothing. This holds from the moment of removal on, even before the removal event is emitted.
 * [C-6]  transmit passes each command to the card exactly once and unchanged. The driver never repeats it, never
 *        splits or joins it, and never handles 61xx or 6Cxx: those status words are the caller's.
 *        What the transmission protocol itself defines (ISO/IEC 7816-3 procedure bytes, T=1 and ISO/IEC 14443-4
 *        block retransmission, which the card tells from a new command) is not a repetition.
 * [C-7]  From the first byte of a command on, all that is not a complete response is PURSER_OUTCOME_UNKNOWN:
 *        removal, a silent card, an error of the line, the deadline, an answer without a status word.
 * [C-8]  A call that names a slot that is not there answers PURSER_DEVICE_GONE and does nothing.
 * [C-9]  connect does not wait for a card: where none lies in the slot it answers PURSER_NO_CARD at once, and where one
 *        does, it connects.
 */
#define PURSER_CARD_READER_1 "purser.card-reader/1"

#define PURSER_PROTOCOL_T0 1u
#define PURSER_PROTOCOL_T1 2u
#define PURSER_PROTOCOL_TCL 3u /* ISO/IEC 14443-4 */

struct purser_card {
    uint32_t struct_size;
    uint32_t connection;
    uint32_t protocol;
    uint32_t contactless; /* 1 for a card in the field, 0 for one in contact */
    uint32_t atr_length;  /* 0 to PURSER_ATR_MAX; for contactless cards the ATR that PC/SC part 3 constructs, or 0 */
    uint8_t atr[PURSER_ATR_MAX];
    uint8_t reserved[3];
};

struct purser_card_reader_1 {
    uint32_t struct_size;
    uint32_t reserved;

    /* Powers the card in the slot and takes exclusive access to it.
     * State: no connection lives in the slot.  Thread: the host's.  It does not wait for a card to come.
     * card: handed over zeroed with struct_size set; filled only on PURSER_OK.
     * Errors: NO_CARD; CARD_MUTE (power came, no valid ATR); BUSY (another program, named in detail where it can
     *   be known; or a connection lives [C-1]); DEVICE_GONE (also an unknown slot); UNSUPPORTED (a
     *   memory card or protocol); TIMEOUT; CANCELLED; INTERNAL. After any error the card is without power. */
    int32_t (*connect)(struct purser_instance *instance, const struct purser_call *call, uint32_t slot,
                       struct purser_card *card);

    /* Sends one command and waits for its one response [C-6].
     * State: `connection` lives in the slot [C-5].  Thread: the host's.
     * command: 4 to PURSER_COMMAND_MAX bytes, perhaps with a PIN in it [M-3].
     * response: capacity PURSER_RESPONSE_MAX; on PURSER_OK 2 bytes or more, the last two the status word.
     * Errors, where nothing was sent: CARD_CHANGED, DEVICE_GONE, TIMEOUT, BAD_ARGUMENT, UNSUPPORTED (a command longer
     *   than this reader can pass). Where something may have been sent: OUTCOME_UNKNOWN, and the connection has ended.
     *   INTERNAL counts as OUTCOME_UNKNOWN. Never NO_CARD, CARD_MUTE, BUSY or CANCELLED. */
    int32_t (*transmit)(struct purser_instance *instance, const struct purser_call *call, uint32_t slot,
                        uint32_t connection, const uint8_t *command, uint32_t command_length,
                        struct purser_buffer *response);

    /* Ends the connection: powers the card off or resets it [C-4], and gives up exclusive access.
     * State: any.  Thread: the host's.
     * Errors: CARD_CHANGED (it had ended already, so its PIN state is gone: nothing to do); DEVICE_GONE (likewise);
     *   TIMEOUT, INTERNAL: the card's state is not known, and Purser kills the process to end it. */
    int32_t (*disconnect)(struct purser_instance *instance, const struct purser_call *call, uint32_t slot,
                          uint32_t connection);
};

/* ---- purser.pin-pad/1 [P] ---------------------------------------------------------------------------
 *
 * [P-1]  The pad shows what it can of the request (amount first), then takes digits until the buyer confirms.
 * [P-2]  Fewer than digits_min are not accepted at the pad; more than digits_max cannot be typed.
 * [P-3]  Nothing that was typed before the call began counts.
 * [P-4]  PURSER_PIN_FORMAT_DIGITS: the answer is the digits as ASCII. For PINs that the card checks.
 * [P-5]  PURSER_PIN_FORMAT_BLOCK: the answer is a PIN block enciphered inside the pad, which Purser cannot read.
 *        A pad without it answers PURSER_UNSUPPORTED. It never falls back to digits.
 * [P-6]  After the call the pad's display and memory hold no digits.
 */
#define PURSER_PIN_PAD_1 "purser.pin-pad/1"

#define PURSER_PIN_FORMAT_DIGITS 1u
#define PURSER_PIN_FORMAT_BLOCK 2u

#define PURSER_TRIES_UNKNOWN 0xFFFFFFFFu

struct purser_pin_request {
    uint32_t struct_size;
    uint32_t format;       /* PURSER_PIN_FORMAT_* */
    uint32_t digits_min;   /* 4 to digits_max */
    uint32_t digits_max;   /* to PURSER_PIN_MAX */
    uint64_t amount_minor; /* to be shown: minor units */
    uint8_t currency[4];   /* ISO 4217 letters and a zero byte; all zero: no amount is to be shown */
    uint32_t minor_digits; /* ISO 4217 exponent: 0 for JPY, 2 for EUR */
    uint32_t tries_left;   /* to be shown if small; PURSER_TRIES_UNKNOWN */
    /* The rest is for PURSER_PIN_FORMAT_BLOCK, else 0. */
    uint32_t block_format;   /* the ISO 9564-1 format number: 0, 3 or 4 */
    uint32_t key_id_length;  /* 1 to PURSER_NAME_MAX */
    uint32_t account_length; /* 12 to 19 digits where the block format binds one, else 0 */
    const uint8_t *key_id;   /* names the key inside the pad, UTF-8 */
    const uint8_t *account;  /* ASCII digits; as secret as a PIN [M-3] */
};

struct purser_pin_pad_1 {
    uint32_t struct_size;
    uint32_t reserved;

    /* Lets the buyer enter a PIN on the pad in this slot.
     * State: no other enter_pin runs.  Thread: the host's.  Ends early by `cancel` [L-5].
     * answer: capacity PURSER_PIN_MAX or PURSER_PIN_BLOCK_MAX; wiped by the host after use [M-3].
     * Errors: CANCELLED (the buyer's key, or cancel); TIMEOUT (the buyer did not finish); DEVICE_GONE; BUSY;
     *   UNSUPPORTED (a format); BAD_ARGUMENT; INTERNAL. After each of them a new entry may be asked for. */
    int32_t (*enter_pin)(struct purser_instance *instance, const struct purser_call *call, uint32_t slot,
                         const struct purser_pin_request *request, struct purser_buffer *answer);
};

#ifdef __cplusplus
}
#endif

#endif /* PURSER_DRIVER_H */
