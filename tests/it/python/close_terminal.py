"""Runs a command in a shell on a terminal of its own, and closes the terminal when it is told to.

    close_terminal.py COMMAND ...

It prints what the terminal shows. The end of its standard input closes the terminal.
"""

import os
import pty
import shlex
import sys
import threading

shell, terminal = pty.fork()
if shell == 0:
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])


def show():
    while shown := os.read(terminal, 4096):
        os.write(1, shown)


threading.Thread(target=show, daemon=True).start()
os.write(terminal, (shlex.join(sys.argv[1:]) + "\n").encode())
while os.read(0, 4096):
    pass
# The end of this process closes the terminal.
os._exit(0)
