"""Runs another of these scripts as another user, who need not be able to read it or Python's own folder.

    as_user.py UID GID SCRIPT [ARGUMENT...]
"""

import os
import sys

import argparse  # noqa: F401 (imported while files can be read, as the next ones are)
import gettext  # noqa: F401
import json  # noqa: F401
import locale  # noqa: F401
import shutil  # noqa: F401

import jeepney.io.blocking  # noqa: F401

uid, gid, script = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with open(script, encoding="utf-8") as file:
    code = compile(file.read(), script, "exec")
os.setgroups([])
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
sys.argv = sys.argv[3:]
exec(code, {"__name__": "__main__"})
