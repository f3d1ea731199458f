"""Runs the emulator until standard input is closed, then ends it and everything that it started.

Whoever starts the local stack holds the other end of the pipe. However that process ends, even by SIGKILL, the pipe is
closed, so nothing is left running.
"""

import os
import runpy
import signal
import sys
import threading


def end_with_standard_input():
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


# A group of our own: the functions that the emulator starts belong to it, and Ctrl-C in the terminal does not reach it.
os.setsid()
threading.Thread(target=end_with_standard_input, daemon=True).start()
sys.argv = ["ministack"]
runpy.run_module("ministack", run_name="__main__")
