"""Calls over D-Bus that must be refused, one after the other.

    dbus_calls.py ADDRESS CALLS

CALLS is a JSON list of [METHOD, TYPES, ARGUMENTS]. Prints one JSON object for each: the error's name and its words, or the
answer of a call that was not refused.
"""

import json
import sys

from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection

NAME = "org.purser.Purser1"
PURSER = DBusAddress("/org/purser/Purser1", bus_name=NAME, interface=NAME)


def tuples(value):
    """jeepney takes structures and variants as tuples."""
    if isinstance(value, list):
        return tuple(tuples(inner) for inner in value)
    if isinstance(value, dict):
        return {key: tuples(inner) for key, inner in value.items()}
    return value


def main():
    address, calls = sys.argv[1], json.loads(sys.argv[2])
    bus = open_dbus_connection(bus=address)
    for method, types, arguments in calls:
        answer = bus.send_and_get_reply(new_method_call(PURSER, method, types, tuples(arguments)))
        fields = answer.header.fields
        if answer.header.message_type.name == "error":
            name = next(value for key, value in fields.items() if key.name == "error_name")
            print(json.dumps({"refused": name, "words": list(answer.body)}), flush=True)
        else:
            print(json.dumps({"answered": repr(answer.body)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
