"""A sale over Varlink, as a till written in Python makes it.

    varlink_sale.py SOCKET REFERENCE MINOR CURRENCY [--cancel]

Prints one JSON object for each thing that Purser says. With --cancel the sale is cancelled while it waits for a card.
Exit code: 0 paid, 3 not paid, 4 in doubt (present the card again), 1 refused.
"""

import argparse
import json
import sys

import varlink

EXIT_CODES = {"paid": 0, "not_paid": 3, "in_doubt": 4}


def tell(**what):
    print(json.dumps(what), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("reference")
    parser.add_argument("minor", type=int)
    parser.add_argument("currency")
    parser.add_argument("--cancel", action="store_true")
    wanted = parser.parse_args()

    client = varlink.Client(address="unix:" + wanted.socket)
    # A connection that watches takes no other call until its stream ends: a second one is for calls.
    with client.open("org.purser.Purser1") as calls, client.open("org.purser.Purser1") as events:
        try:
            begun = calls.BeginSale(wanted.reference, {"minor": wanted.minor, "currency": wanted.currency})
        except varlink.VarlinkError as refused:
            tell(refused=refused.error(), **refused.parameters())
            return 1
        tell(standing=begun["standing"], sale=begun["sale"])
        for told in events.Watch(wanted.reference, _more=True):
            event = told["event"]
            tell(event=event)
            sale = event["sale"]
            if sale["outcome"] in EXIT_CODES:
                return EXIT_CODES[sale["outcome"]]
            if wanted.cancel and sale["state"] == "waiting_for_card":
                # Told with the certain end: a payment that was faster wins.
                tell(cancelled=calls.Cancel(wanted.reference)["sale"])


if __name__ == "__main__":
    sys.exit(main())
