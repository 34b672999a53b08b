"""A sale over D-Bus, as a till written in Python makes it.

    dbus_sale.py ADDRESS sell REFERENCE MINOR CURRENCY [--pin-fd FD]
    dbus_sale.py ADDRESS resume REFERENCE AFTER
    dbus_sale.py ADDRESS attach REFERENCE

Prints one JSON object for each thing that Purser says. `sell` takes the card's PIN from a file descriptor. `resume`
follows a sale that another run began, from behind the last number that that run was told.
Exit code: 0 paid, 3 not paid, 4 in doubt (present the card again), 1 refused.
"""

import argparse
import json
import sys

from jeepney import DBusAddress, DBusErrorResponse, MatchRule, new_method_call
from jeepney.io.blocking import open_dbus_connection

NAME = "org.purser.Purser1"
PURSER = DBusAddress("/org/purser/Purser1", bus_name=NAME, interface=NAME)
EXIT_CODES = {"paid": 0, "not_paid": 3, "in_doubt": 4}


def tell(**what):
    print(json.dumps(what), flush=True)


def plain(value):
    """A value without the D-Bus types: jeepney gives a variant as a pair of type and value."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, (_type, inner) in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


class Till:
    def __init__(self, address):
        self.bus = open_dbus_connection(bus=address, enable_fds=True)

    def call(self, method, types="", *arguments):
        message = new_method_call(PURSER, method, types or None, arguments)
        answer = self.bus.send_and_get_reply(message)
        if answer.header.message_type.name == "error":
            raise DBusErrorResponse(answer)
        return [plain(value) for value in answer.body]

    def signals(self):
        """The queue into which SaleChanged comes from now on. Signals are sent to this connection alone."""
        rule = MatchRule(type="signal", interface=NAME, member="SaleChanged", path="/org/purser/Purser1")
        return self.bus.filter(rule, bufsize=None)

    def sell(self, wanted):
        with self.signals() as queue:
            options = {"pin_through_api": ("b", True)} if wanted.pin_fd is not None else {}
            amount = (wanted.minor, wanted.currency)
            standing, sale = self.call("BeginSale", "s(ts)a{sv}", wanted.reference, amount, options)
            tell(standing=standing, sale=sale)
            if standing == "completed":
                return EXIT_CODES[sale["outcome"]]
            return self.follow(queue, wanted.reference, 0, wanted.pin_fd)

    def resume(self, wanted):
        with self.signals() as queue:
            # First the signals, then what happened before them: so nothing falls in between.
            self.call("Watch", "s", wanted.reference)
            after, more, outcome = wanted.after, True, None
            while more:
                events, more = self.call("Events", "tus", after, 0, wanted.reference)
                for event in events:
                    tell(event=event)
                    after, outcome = event["number"], event["sale"]["outcome"]
            if outcome in EXIT_CODES:
                return EXIT_CODES[outcome]
            return self.follow(queue, wanted.reference, after, None)

    def follow(self, queue, reference, after, pin_fd):
        while True:
            event = plain(self.bus.recv_until_filtered(queue).body[0])
            sale, number = event["sale"], event.get("number")
            if sale["reference"] != reference or (number is not None and number <= after):
                continue
            after = number or after
            tell(event=event)
            if sale["outcome"] in EXIT_CODES:
                return EXIT_CODES[sale["outcome"]]
            if sale["state"] == "waiting_for_pin" and pin_fd is not None:
                self.call("ProvidePin", "shb", reference, pin_fd, False)
                pin_fd = None

    def attach(self, wanted):
        (sale,) = self.call("Attach", "s", wanted.reference)
        tell(sale=sale)
        return EXIT_CODES.get(sale["outcome"], 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    verbs = parser.add_subparsers(dest="verb", required=True)
    sell = verbs.add_parser("sell")
    sell.add_argument("reference")
    sell.add_argument("minor", type=int)
    sell.add_argument("currency")
    sell.add_argument("--pin-fd", type=int)
    resume = verbs.add_parser("resume")
    resume.add_argument("reference")
    resume.add_argument("after", type=int)
    verbs.add_parser("attach").add_argument("reference")
    wanted = parser.parse_args()
    try:
        return getattr(Till(wanted.address), wanted.verb)(wanted)
    except DBusErrorResponse as refused:
        tell(refused=refused.name, words=list(refused.data))
        return 1


if __name__ == "__main__":
    sys.exit(main())
