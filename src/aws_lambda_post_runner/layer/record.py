"""Prints the modules that the run path imports; run by the interpreter that is to run them: `record.py SITE NAME…`.

With `boot`'s stand-ins in place, every NAME is imported from the folder SITE, or if it is `trio.` and a name of trio's,
looked up; and a command is run under trio, which brings what trio imports late. Prints a line for each module that is
then loaded: name, tab, file or `built-in`, tab, `package` or nothing. Fails if a stand-in had to give way.
This script itself imports only what Python has loaded before it anyway.
"""

import sys

site, *names = sys.argv[1:]
sys.path.insert(0, site)

from aws_lambda_post_runner import boot  # noqa: E402 - it is in `site`

boot.prepare()
import trio  # noqa: E402 - only after `prepare`

for name in (*boot.TRIO, *boot.ATTRS, *names):
    if name.startswith("trio."):
        getattr(trio, name.removeprefix("trio."))
    else:
        __import__(name)


async def run_a_command() -> None:
    """Do what a post command does to trio."""
    with trio.open_signal_receiver(15):
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.run_process, ["/bin/true"])


trio.run(run_a_command)
if "__getattr__" not in vars(trio):
    sys.exit("the run path needs a name of trio's that is not in boot.TRIO, or is elsewhere in this release")

for name, module in sorted(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    if spec is not None and name == spec.name:
        print(name, spec.origin, "package" if spec.submodule_search_locations is not None else "", sep="\t")
