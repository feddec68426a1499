"""An external extension: a process of its own, which registers, hears of the function's end, and ends."""

from extension import ask, register

if __name__ == "__main__":
    identifier = register("outer", ["INVOKE", "SHUTDOWN"])
    kind = ""
    while kind != "SHUTDOWN":
        kind = ask("event/next", identifier)["eventType"]
        print("extension:", kind, flush=True)
